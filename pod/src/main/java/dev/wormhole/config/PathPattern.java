// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.ArrayList;
import java.util.List;

/**
 * Which folders and files a rule is for: an absolute path in the tree, where {@code *} stands for any run of characters of
 * one name, {@code ?} for one character, and {@code **} as a whole name for any number of folders. {@code /a/**} is
 * {@code /a} and all that is in it. Immutable; matching takes time linear in path and pattern, whatever they hold.
 */
public final class PathPattern {
    private final String text;
    private final List<String> names;

    private PathPattern(String text, List<String> names) {
        this.text = text;
        this.names = names;
    }

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static PathPattern parse(String text) {
        if (!text.startsWith("/")) throw new IllegalArgumentException("must begin with / (the root of the tree)");
        if (text.indexOf('\0') >= 0) throw new IllegalArgumentException("holds a NUL");
        var names = new ArrayList<String>();
        for (var name : split(text)) {
            if (name.equals(".") || name.equals("..")) throw new IllegalArgumentException("holds " + name);
            if (!name.equals("**") && name.contains("**")) {
                throw new IllegalArgumentException("has ** beside other characters; ** stands alone between two /");
            }
            names.add(name);
        }
        return new PathPattern(text, List.copyOf(names));
    }

    private static List<String> split(String path) {
        var names = new ArrayList<String>();
        for (var name : path.split("/", -1)) {
            if (!name.isEmpty()) names.add(name);
        }
        return names;
    }

    /** @param path absolute, in the tree */
    public boolean matches(String path) {
        var parts = split(path);
        // reached[j]: the names of the pattern so far match the first j names of the path
        var reached = new boolean[parts.size() + 1];
        reached[0] = true;
        for (var name : names) {
            var next = new boolean[reached.length];
            for (var j = 0; j < reached.length; j++) {
                if (name.equals("**")) {
                    next[j] = reached[j] || j > 0 && next[j - 1];
                } else {
                    next[j] = j > 0 && reached[j - 1] && nameMatches(name, parts.get(j - 1));
                }
            }
            reached = next;
        }
        return reached[parts.size()];
    }

    private static boolean nameMatches(String pattern, String name) {
        var p = 0;
        var n = 0;
        var star = -1;
        var resume = 0;
        while (n < name.length()) {
            if (p < pattern.length() && pattern.charAt(p) == '*') {
                star = p++;
                resume = n;
            } else if (p < pattern.length() && (pattern.charAt(p) == '?' || pattern.charAt(p) == name.charAt(n))) {
                p++;
                n++;
            } else if (star >= 0) {
                p = star + 1;
                n = ++resume;
            } else {
                return false;
            }
        }
        while (p < pattern.length() && pattern.charAt(p) == '*') p++;
        return p == pattern.length();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PathPattern pattern && pattern.names.equals(names);
    }

    @Override
    public int hashCode() {
        return names.hashCode();
    }

    @Override
    public String toString() {
        return text;
    }
}
