// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.tomlj.Toml;
import org.tomlj.TomlArray;
import org.tomlj.TomlPosition;
import org.tomlj.TomlTable;

/**
 * One table of a TOML file while it is read. Each read names its key, so that what nobody named is unknown in the end. A
 * wrong value is noted with its position and answered with the default, so that reading goes on to the next error.
 */
final class TomlSection {
    /** What all tables of one file share. */
    static final class Document {
        private final String file;
        private final TreeSet<ConfigError> errors = new TreeSet<>();
        /** Key to the tables that know it, for keys that stand in the wrong table. */
        private final Map<String, String> homes = new LinkedHashMap<>();

        private final List<TomlSection> sections = new ArrayList<>();
        private final TomlSection root;
        private final boolean wellFormed;

        Document(String file, String text) {
            this.file = file;
            var result = Toml.parse(text);
            for (var error : result.errors()) {
                var message = error.getMessage();
                note(error.position(), message == null ? "is no TOML" : message);
            }
            wellFormed = errors.isEmpty();
            root = new TomlSection(this, "", result);
        }

        TomlSection root() {
            return root;
        }

        /** False where the text is no TOML at all: values may be missing only for that reason. */
        boolean wellFormed() {
            return wellFormed;
        }

        private void note(@Nullable TomlPosition at, String message) {
            errors.add(new ConfigError(file, at == null ? 1 : at.line(), at == null ? 1 : at.column(), message));
        }

        /** To call once, after everything was read. */
        <T> Parsed<T> finish(Function<Document, T> value) {
            for (var section : sections) section.noteUnknown();
            if (!errors.isEmpty()) return new Parsed.Bad<>(List.copyOf(errors));
            return new Parsed.Good<>(value.apply(this));
        }
    }

    private final Document document;
    private final String path;
    private final @Nullable TomlTable table;
    private final List<String> known = new ArrayList<>();

    private TomlSection(Document document, String path, @Nullable TomlTable table) {
        this.document = document;
        this.path = path;
        this.table = table;
        document.sections.add(this);
    }

    // -- single values ---------------------------------------------------------------------------------------------

    boolean has(String key) {
        return table != null && table.contains(List.of(key));
    }

    int integer(String key, int min, int max, int fallback) {
        return switch (raw(key)) {
            case null -> fallback;
            case Long number when number >= min && number <= max -> number.intValue();
            case Object other -> wrong(key, "a whole number from " + min + " to " + max, other, fallback);
        };
    }

    Optional<Integer> number(String key, int max) {
        var number = integer(key, 0, max, -1);
        return number < 0 ? Optional.empty() : Optional.of(number);
    }

    /** Every key of the table, whatever it is, with its number. */
    Map<String, Integer> numbers(int max) {
        var numbers = new LinkedHashMap<String, Integer>();
        if (table != null) for (var key : table.keySet()) numbers.put(key, integer(key, 0, max, 0));
        return numbers;
    }

    boolean flag(String key, boolean fallback) {
        return switch (raw(key)) {
            case null -> fallback;
            case Boolean flag -> flag;
            case Object other -> wrong(key, "true or false", other, fallback);
        };
    }

    <E extends Enum<E>> E choice(String key, Class<E> type, E fallback) {
        return switch (raw(key)) {
            case null -> fallback;
            case String word ->
                Words.parse(type, word).orElseGet(() -> wrong(key, Words.choices(type), word, fallback));
            case Object other -> wrong(key, Words.choices(type), other, fallback);
        };
    }

    /** @param parser throws IllegalArgumentException for what it cannot read */
    <T> T value(String key, Function<String, T> parser, String form, T fallback) {
        return switch (raw(key)) {
            case null -> fallback;
            case String text -> {
                try {
                    yield parser.apply(text);
                } catch (IllegalArgumentException e) {
                    yield wrong(key, form, text, fallback, e.getMessage());
                }
            }
            case Object other -> wrong(key, form, other, fallback);
        };
    }

    <T> Optional<T> optional(String key, Function<String, T> parser, String form) {
        return value(key, text -> Optional.of(parser.apply(text)), form, Optional.empty());
    }

    Duration duration(String key, Duration min, Duration max, Duration fallback) {
        var form = min.isZero()
                ? "a length of time such as \"10m\" or \"30d\", at most " + Durations.format(max)
                : "a length of time such as \"10m\" or \"30d\", from " + Durations.format(min) + " to "
                        + Durations.format(max);
        var given = value(key, Durations::parse, form, fallback);
        return given.compareTo(min) < 0 || given.compareTo(max) > 0
                ? wrong(key, form, Durations.format(given), fallback)
                : given;
    }

    // -- lists and tables ------------------------------------------------------------------------------------------

    /** A list of strings; a wrong element is noted where it stands. */
    <T> List<T> list(String key, Function<String, T> parser, String form) {
        var raw = raw(key);
        if (raw == null) return List.of();
        if (!(raw instanceof TomlArray array)) return wrong(key, "a list, in [ ], of: " + form, raw, List.of());
        var values = new ArrayList<T>();
        for (var i = 0; i < array.size(); i++) {
            var element = array.get(i);
            var problem = "";
            if (element instanceof String text) {
                try {
                    values.add(parser.apply(text));
                    continue;
                } catch (IllegalArgumentException e) {
                    problem = e.getMessage() == null ? "" : " (" + e.getMessage() + ")";
                }
            }
            document.note(
                    array.inputPositionOf(i),
                    "every element of " + name(key) + " must be " + form + ", not " + shown(element) + problem);
        }
        return values;
    }

    <E extends Enum<E>> List<E> choices(String key, Class<E> type) {
        return list(
                key,
                word -> Words.parse(type, word).orElseThrow(() -> new IllegalArgumentException("unknown")),
                Words.choices(type));
    }

    TomlSection section(String key) {
        var raw = raw(key);
        if (raw != null && !(raw instanceof TomlTable)) wrong(key, "a table: [" + name(key) + "]", raw, 0);
        return new TomlSection(document, name(key), raw instanceof TomlTable inner ? inner : null);
    }

    /** The tables of {@code [[key]]}, in the order of the file. */
    List<TomlSection> sections(String key) {
        var raw = raw(key);
        if (raw == null) return List.of();
        var sections = new ArrayList<TomlSection>();
        if (raw instanceof TomlArray array) {
            for (var i = 0; i < array.size(); i++) {
                if (array.get(i) instanceof TomlTable inner) {
                    sections.add(new TomlSection(document, name(key), inner));
                } else {
                    document.note(
                            array.inputPositionOf(i),
                            "every element of " + name(key) + " must be a table, not " + shown(array.get(i)));
                }
            }
            return sections;
        }
        return wrong(key, "a list of tables: [[" + name(key) + "]]", raw, sections);
    }

    // -- errors ----------------------------------------------------------------------------------------------------

    /** Notes that a key stands for something that does not exist yet, where it asks for more than today's behaviour. */
    void notYet(String key, boolean asksForMore) {
        if (asksForMore && has(key)) note(key, "key " + name(key) + " is not available yet (planned); remove it");
    }

    /** The same for one value of a key whose other values work. */
    void notYet(String key, String value, String instead) {
        note(key, "key " + name(key) + " = \"" + value + "\" is not available yet (planned); use " + instead);
    }

    void note(String key, String message) {
        document.note(table == null || !has(key) ? null : table.inputPositionOf(List.of(key)), message);
    }

    /** Notes at the key if it is there, else at this table's own head or first key. */
    void noteMissing(String key, String message) {
        if (has(key)) {
            note(key, message);
        } else if (table != null && !table.isEmpty()) {
            document.note(
                    table.inputPositionOf(List.of(table.keySet().iterator().next())), message);
        } else {
            document.note(null, message);
        }
    }

    private @Nullable Object raw(String key) {
        known.add(key);
        document.homes.putIfAbsent(key, path);
        return table == null ? null : table.get(List.of(key));
    }

    private <T> T wrong(String key, String form, Object given, T fallback) {
        return wrong(key, form, given, fallback, null);
    }

    private <T> T wrong(String key, String form, Object given, T fallback, @Nullable String problem) {
        note(
                key,
                "key " + name(key) + " must be " + form + ", not " + shown(given)
                        + (problem == null ? "" : ", which " + problem));
        return fallback;
    }

    private void noteUnknown() {
        if (table == null) return;
        for (var key : table.keySet()) {
            if (known.contains(key)) continue;
            var home = document.homes.get(key);
            var where = path.isEmpty() ? "at the top of the file" : "in [" + path + "]";
            String hint;
            if (home != null) {
                hint = home.isEmpty() ? "[" + key + "] stands by itself" : "it belongs in [" + home + "]";
            } else {
                hint = Words.nearest(key, known)
                        .map(near -> "did you mean " + near + "?")
                        .or(() -> elsewhere(key, document.homes.keySet()))
                        .orElse("known here: " + String.join(", ", known));
            }
            document.note(table.inputPositionOf(List.of(key)), "unknown key " + key + " " + where + "; " + hint);
        }
    }

    private Optional<String> elsewhere(String key, Collection<String> all) {
        return Words.nearest(key, List.copyOf(all)).map(near -> {
            var home = document.homes.get(near);
            return "did you mean " + (home == null || home.isEmpty() ? "" : home + ".") + near + "?";
        });
    }

    private String name(String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    private static String shown(Object value) {
        return switch (value) {
            case String text -> '"' + (text.length() > 60 ? text.substring(0, 60) + "…" : text) + '"';
            case TomlArray _ -> "a list";
            case TomlTable _ -> "a table";
            default -> value.toString();
        };
    }
}
