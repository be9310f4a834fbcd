// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** The {@code [[rule]]} tables of a network in the order of its file. For each key the last rule that matches wins. */
public record Rules(List<Rule> rules) {
    public static final Rules NONE = new Rules(List.of());

    public Rules {
        rules = List.copyOf(rules);
    }

    /**
     * What one rule says. An absent key leaves the matter to earlier rules and the network's own setting.
     *
     * @param copies 1 to {@link NetworkConfig#COPIES_MAX}
     * @param place not available yet: always empty
     * @param cache not available yet: absent or false
     * @param maxSize not available yet: always absent
     */
    public record Rule(
            PathPattern path,
            OptionalInt copies,
            Optional<Boolean> readOnly,
            List<Place> place,
            Optional<Boolean> cache,
            Optional<Size> maxSize) {
        public Rule {
            place = List.copyOf(place);
        }

        public Rule(PathPattern path, OptionalInt copies, Optional<Boolean> readOnly) {
            this(path, copies, readOnly, List.of(), Optional.empty(), Optional.empty());
        }
    }

    /** So many copies on pods of this zone and kind of disk, where given. */
    public record Place(int copies, Optional<String> zone, Optional<PodConfig.Disk> disk) {}

    /**
     * What the rules say of one path.
     *
     * @param copies absent where no rule sets them
     * @param copiesBy the pattern of the rule that decided, empty where none did
     * @param readOnlyBy likewise
     */
    public record Wish(OptionalInt copies, String copiesBy, boolean readOnly, String readOnlyBy) {
        public static final Wish NONE = new Wish(OptionalInt.empty(), "", false, "");
    }

    /** @param path absolute, in the tree */
    public Wish wish(String path) {
        if (rules.isEmpty()) return Wish.NONE;
        var copies = OptionalInt.empty();
        var copiesBy = "";
        var readOnly = false;
        var readOnlyBy = "";
        for (var rule : rules) {
            if (!rule.path.matches(path)) continue;
            if (rule.copies.isPresent()) {
                copies = rule.copies;
                copiesBy = rule.path.toString();
            }
            if (rule.readOnly.isPresent()) {
                readOnly = rule.readOnly.get();
                readOnlyBy = rule.path.toString();
            }
        }
        return new Wish(copies, copiesBy, readOnly, readOnlyBy);
    }
}
