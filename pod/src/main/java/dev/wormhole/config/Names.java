// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.Locale;
import java.util.regex.Pattern;

/** Names of networks, pods and zones: they stand in paths, host names and metrics. */
public final class Names {
    static final String FORM = "a name of 1 to 63 letters a-z, digits and -";
    private static final Pattern NAME = Pattern.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?");

    private Names() {}

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static String check(String name) {
        if (!NAME.matcher(name).matches()) {
            var better = from(name);
            throw new IllegalArgumentException(better.equals("pod") ? "is none" : "could be \"" + better + "\"");
        }
        return name;
    }

    /** The nearest possible name, {@code pod} where nothing is left. */
    public static String from(String anything) {
        var name =
                anything.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-").replaceAll("^-+", "");
        name = name.substring(0, Math.min(63, name.length())).replaceAll("-+$", "");
        return name.isEmpty() ? "pod" : name;
    }
}
