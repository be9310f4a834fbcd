// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.util.Arrays;

/**
 * Keys of the tables, see docs/formats/tables.md: group number (2 bytes), table letter, then big-endian ids, so that
 * unsigned byte order is the order of ids.
 */
final class Keys {
    static final int GROUP = 0;

    static final char INODE = 'i';
    static final char ENTRY = 'd';
    static final char FURTHER_NAME = 'l';
    static final char SYMLINK = 's';
    static final char XATTR = 'x';
    static final char EXTENT = 'e';
    static final char HISTORY = 'h';
    static final char HISTORY_EXTENT = 'j';
    static final char WAIT = 'w';
    static final char SLICE = 'b';
    static final char UNNAMED = 'u';
    static final char DEAD = 'z';
    static final char ORPHAN = 'o';
    static final char HOLD = 'k';
    static final char POD = 'p';
    static final char TOKEN = 't';
    static final char SESSION = 'n';
    static final char ANSWER = 'a';
    static final char LOCKS = 'g';
    static final char LOCKED_BY = 'y';
    static final char LOCK_WAIT = 'q';
    static final char ADMINISTRATOR = 'v';
    static final char INVITATION = 'c';
    static final char POD_KEY = 'f';
    static final char AUDIT = 'r';
    static final char AUTHORITY = 'A';
    static final char CERTIFICATE = 'C';
    /** Re-formings, by the generation that each began. */
    static final char REFORMED = 'R';

    static final char META = 'm';

    /** Applied index and digest: the only row that is not part of the digest. */
    static final byte[] APPLIED = meta('a');

    static final byte[] FORMAT = meta('f');
    static final byte[] TOTALS = meta('t');
    static final byte[] LEVEL = meta('l');
    static final byte[] CONFIGURATION = meta('c');
    static final byte[] ELAPSED = meta('e');
    static final byte[] ALLOCATOR = meta('n');
    static final byte[] GENERATION = meta('g');
    /** How many acts of administration there were. */
    static final byte[] AUDITED = meta('r');

    /** The first and the last key that can belong to the group, exclusive at the end. */
    static final byte[] FIRST = {GROUP >> 8, GROUP};

    static final byte[] END = {GROUP >> 8, GROUP + 1};

    /** Cookies below it belong to "." and "..", and to whoever else needs a few. */
    static final long COOKIE_MIN = 16;

    private static final int HEAD = 3;

    private Keys() {}

    private static byte[] make(char table, int idBytes) {
        byte[] key = new byte[HEAD + idBytes];
        key[0] = GROUP >> 8;
        key[1] = GROUP;
        key[2] = (byte) table;
        return key;
    }

    private static byte[] meta(char which) {
        byte[] key = make(META, 1);
        key[HEAD] = (byte) which;
        return key;
    }

    static byte[] table(char table) {
        return make(table, 0);
    }

    static byte[] of(char table, byte[] tail) {
        byte[] key = make(table, tail.length);
        System.arraycopy(tail, 0, key, HEAD, tail.length);
        return key;
    }

    static byte[] of(char table, long id) {
        byte[] key = make(table, 8);
        ByteSink.LONG.set(key, HEAD, id);
        return key;
    }

    static byte[] of(char table, long a, long b) {
        byte[] key = make(table, 16);
        ByteSink.LONG.set(key, HEAD, a);
        ByteSink.LONG.set(key, HEAD + 8, b);
        return key;
    }

    static byte[] of(char table, long a, long b, long c) {
        byte[] key = make(table, 24);
        ByteSink.LONG.set(key, HEAD, a);
        ByteSink.LONG.set(key, HEAD + 8, b);
        ByteSink.LONG.set(key, HEAD + 16, c);
        return key;
    }

    static byte[] of(char table, long id, byte[] tail) {
        byte[] key = make(table, 8 + tail.length);
        ByteSink.LONG.set(key, HEAD, id);
        System.arraycopy(tail, 0, key, HEAD + 8, tail.length);
        return key;
    }

    static byte[] of(char table, long a, long b, byte[] tail) {
        byte[] key = make(table, 16 + tail.length);
        ByteSink.LONG.set(key, HEAD, a);
        ByteSink.LONG.set(key, HEAD + 8, b);
        System.arraycopy(tail, 0, key, HEAD + 16, tail.length);
        return key;
    }

    /** @param cookie the name's, which the table tells */
    static byte[] entry(long directory, long cookie, byte[] name) {
        return of(ENTRY, directory, cookie, name);
    }

    /** The id number {@code place} (from 0) of a key. */
    static long id(byte[] key, int place) {
        return (long) ByteSink.LONG.get(key, HEAD + 8 * place);
    }

    /** What follows that many ids in a key. */
    static byte[] tail(byte[] key, int ids) {
        return Arrays.copyOfRange(key, HEAD + 8 * ids, key.length);
    }

    /** The first key behind all that begin with this one. */
    static byte[] after(byte[] prefix) {
        int last = prefix.length - 1;
        while (last >= 0 && prefix[last] == (byte) 0xff) last--;
        if (last < 0) throw new IllegalArgumentException("no key follows " + Arrays.toString(prefix));
        byte[] next = Arrays.copyOf(prefix, last + 1);
        next[last]++;
        return next;
    }

    /** The cookie of a name with this hash: without the sign, at least {@link #COOKIE_MIN}. Part of the format. */
    static long cookieOf(long hash) {
        long cookie = hash & Long.MAX_VALUE;
        return cookie < COOKIE_MIN ? cookie + COOKIE_MIN : cookie;
    }

    /**
     * Our 64-bit hash, part of the formats (cookies, digest): h = seed xor length * 9E3779B97F4A7C15; each big-endian word
     * of 8 bytes, the last one filled with zeros, goes through h = (h xor w) * BF58476D1CE4E5B9, h ^= h >>> 29; at the end
     * h *= 94D049BB133111EB, h ^= h >>> 32, h *= 9E3779B97F4A7C15, h ^= h >>> 31.
     */
    static long hash(byte[] bytes, long seed) {
        long h = seed ^ bytes.length * 0x9E3779B97F4A7C15L;
        int at = 0;
        for (; at + 8 <= bytes.length; at += 8) {
            h = (h ^ (long) ByteSink.LONG.get(bytes, at)) * 0xBF58476D1CE4E5B9L;
            h ^= h >>> 29;
        }
        if (at < bytes.length) {
            long word = 0;
            for (int i = 0; i < 8; i++) word = word << 8 | (at + i < bytes.length ? bytes[at + i] & 0xff : 0);
            h = (h ^ word) * 0xBF58476D1CE4E5B9L;
            h ^= h >>> 29;
        }
        h *= 0x94D049BB133111EBL;
        h ^= h >>> 32;
        h *= 0x9E3779B97F4A7C15L;
        return h ^ h >>> 31;
    }

    /** What one row adds to the digest of the state. */
    static long rowHash(byte[] key, byte[] value) {
        return hash(value, hash(key, 0));
    }
}
