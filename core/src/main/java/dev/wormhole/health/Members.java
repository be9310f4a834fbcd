// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** All members at one moment, by incarnation; removed incarnations are not in it. Immutable. */
public final class Members {
    private final List<Member> all;
    private final Map<Incarnation, Member> byIncarnation;
    private final int zonesForSlices;

    /** @throws IllegalArgumentException when an incarnation comes twice */
    public Members(List<Member> members) {
        var sorted = new ArrayList<>(members);
        sorted.sort(Comparator.comparing(Member::incarnation));
        all = List.copyOf(sorted);
        byIncarnation = HashMap.newHashMap(all.size());
        var zones = new HashSet<String>();
        for (Member member : all) {
            if (byIncarnation.put(member.incarnation(), member) != null)
                throw new IllegalArgumentException("twice a member: " + member.incarnation());
            if (member.acceptsSlices()) zones.add(member.zone());
        }
        zonesForSlices = zones.size();
    }

    /** In order of their incarnations, so that plans do not depend on how the list came about. */
    public List<Member> all() {
        return all;
    }

    /** Null for an incarnation that was removed or never was. */
    public @Nullable Member get(Incarnation incarnation) {
        return byIncarnation.get(incarnation);
    }

    /** Number of zones in which some pod accepts slices. */
    public int zonesForSlices() {
        return zonesForSlices;
    }
}
