// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.List;
import java.util.stream.Collectors;

/** Writes TOML with comments behind the values. */
final class TomlWriter {
    private final StringBuilder text = new StringBuilder();

    void comment(String comment) {
        text.append("# ").append(comment).append('\n');
    }

    void blank() {
        text.append('\n');
    }

    void table(String name) {
        text.append("\n[").append(name).append("]\n");
    }

    void arrayTable(String name) {
        text.append("\n[[").append(name).append("]]\n");
    }

    /** Numbers and booleans stand bare, everything else as a string. */
    void value(String key, Object value, String comment) {
        line(key, value instanceof Number || value instanceof Boolean ? value.toString() : quoted(value), comment);
    }

    void list(String key, List<?> values, String comment) {
        line(key, values.stream().map(TomlWriter::quoted).collect(Collectors.joining(", ", "[", "]")), comment);
    }

    /** A key that is not set, with an example of a value. */
    void example(String key, String value, String comment) {
        line("# " + key, quoted(value), comment);
    }

    private void line(String key, String value, String comment) {
        line(key + " = " + value, comment);
    }

    void line(String line, String comment) {
        text.append(line);
        if (!comment.isEmpty())
            text.append(" ".repeat(Math.max(2, 40 - line.length())))
                    .append("# ")
                    .append(comment);
        text.append('\n');
    }

    /** A key as it must stand where it may hold more than letters, digits, - and _. */
    static String key(String key) {
        return key.matches("[A-Za-z0-9_-]+") ? key : quoted(key);
    }

    static String quoted(Object value) {
        var quoted = new StringBuilder("\"");
        value.toString().codePoints().forEach(c -> {
            switch (c) {
                case '"' -> quoted.append("\\\"");
                case '\\' -> quoted.append("\\\\");
                default -> {
                    if (c < 0x20 || c == 0x7f) quoted.append(String.format("\\u%04x", c));
                    else quoted.appendCodePoint(c);
                }
            }
        });
        return quoted.append('"').toString();
    }

    @Override
    public String toString() {
        return text.toString();
    }
}
