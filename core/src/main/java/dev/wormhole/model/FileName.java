// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * One component of a path: 1 to 255 bytes, any but NUL and '/', and neither "." nor "..". Linux names are bytes, so no
 * charset is applied. Immutable: the array given is owned by the name and must not change.
 */
public final class FileName implements Comparable<FileName> {
    public static final int BYTES_MAX = 255;
    private final byte[] bytes;
    private int hash;

    public FileName(byte[] bytes) {
        if (!isValid(bytes)) throw new IllegalArgumentException("file name: " + printable(bytes));
        this.bytes = bytes;
    }

    public static FileName of(String utf8) {
        return new FileName(utf8.getBytes(StandardCharsets.UTF_8));
    }

    /** Whether the bytes may be a name; a caller on the rim asks before constructing one. */
    public static boolean isValid(byte[] bytes) {
        if (bytes.length == 0 || bytes.length > BYTES_MAX) return false;
        if (bytes[0] == '.' && (bytes.length == 1 || bytes.length == 2 && bytes[1] == '.')) return false;
        for (byte b : bytes) if (b == 0 || b == '/') return false;
        return true;
    }

    /** The bytes themselves, not a copy: do not change them. */
    public byte[] bytes() {
        return bytes;
    }

    @Override
    public int compareTo(FileName other) {
        return Arrays.compareUnsigned(bytes, other.bytes);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof FileName name && Arrays.equals(bytes, name.bytes);
    }

    @Override
    public int hashCode() {
        int h = hash;
        if (h == 0) hash = h = Arrays.hashCode(bytes);
        return h;
    }

    /** For people: UTF-8 where the bytes are, replacement characters where not, control characters escaped. */
    @Override
    public String toString() {
        return printable(bytes);
    }

    private static String printable(byte[] bytes) {
        var text = new StringBuilder();
        for (char c : new String(bytes, StandardCharsets.UTF_8).toCharArray()) {
            if (Character.isISOControl(c)) text.append(String.format("\\x%02x", (int) c));
            else text.append(c);
        }
        return text.toString();
    }
}
