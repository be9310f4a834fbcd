// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;

/** Records to JSON and back. Component names are the keys, enums their lower-case names. Thread-safe. */
public final class Json {
    private static final Gson LINE = new GsonBuilder().disableHtmlEscaping().create();
    private static final Gson PRETTY =
            new GsonBuilder().disableHtmlEscaping().setPrettyPrinting().create();

    private Json() {}

    /** @param value a record or another plain value whose JSON is an object */
    public static JsonObject of(Object value) {
        return LINE.toJsonTree(value).getAsJsonObject();
    }

    /** @throws JsonParseException where a value has another type than the record's */
    public static <T> T to(Class<T> type, JsonObject json) {
        return LINE.fromJson(json, type);
    }

    /** @throws java.io.IOException if the text is no JSON of that form */
    public static <T> T read(Class<T> type, String text) throws java.io.IOException {
        try {
            return to(type, parse(text));
        } catch (JsonParseException failure) {
            throw new java.io.IOException("this is no JSON of the right form: " + failure.getMessage(), failure);
        }
    }

    /** One line, without its end. */
    public static String line(Object value) {
        return LINE.toJson(value);
    }

    /** Several lines, for people and files. */
    public static String pretty(Object value) {
        return PRETTY.toJson(value);
    }

    /** @throws JsonParseException if the text is no JSON object */
    public static JsonObject parse(String text) {
        var element = JsonParser.parseString(text);
        if (!element.isJsonObject()) throw new JsonParseException("no object");
        return element.getAsJsonObject();
    }

    /** An absent or non-text value is empty. */
    public static String text(JsonObject json, String key) {
        var value = json.get(key);
        return value == null || !value.isJsonPrimitive() ? "" : value.getAsString();
    }
}
