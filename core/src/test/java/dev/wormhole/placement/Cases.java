// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.PodSettings.Role;
import dev.wormhole.namespace.SliceRecord;
import java.util.ArrayList;
import java.util.List;

/**
 * Members and slices in a few letters. A pod: its number, then L late, A absent, D draining, W witness, F full,
 * I intermittent, and @zone. A holder: its number, then w when only written. {@code "1 2L 3I@b"}, {@code "1 3w"}.
 */
public final class Cases {
    public static final long FREE_BYTES = 1L << 40;
    public static final long SLICE_BYTES = 1 << 20;

    private Cases() {}

    public static Members members(String text) {
        var members = new ArrayList<Member>();
        for (String word : words(text)) {
            int at = word.indexOf('@');
            String flags = at < 0 ? word : word.substring(0, at);
            boolean witness = flags.contains("W");
            members.add(new Member(
                    new Incarnation(number(flags)),
                    "pod" + number(flags),
                    witness ? Role.WITNESS : Role.STORAGE,
                    flags.contains("I"),
                    at < 0 ? "" : word.substring(at + 1),
                    witness ? 0 : FREE_BYTES,
                    witness || flags.contains("F") ? 0 : FREE_BYTES,
                    flags.contains("A") ? Presence.ABSENT : flags.contains("L") ? Presence.LATE : Presence.PRESENT,
                    flags.contains("D")));
        }
        return new Members(members);
    }

    /** A named slice written by pod 1. */
    public static SliceRecord slice(String holders) {
        return slice(new SliceId(Ids.of(1, 77)), holders);
    }

    public static SliceRecord slice(SliceId id, String holders) {
        var list = new ArrayList<SliceRecord.Holder>();
        for (String word : words(holders))
            list.add(new SliceRecord.Holder(
                    new Incarnation(number(word)), word.endsWith("w") ? HolderState.WRITTEN : HolderState.DURABLE));
        return new SliceRecord(id, SLICE_BYTES, new InodeId(9), 1, list);
    }

    private static List<String> words(String text) {
        return text.isBlank() ? List.of() : List.of(text.trim().split(" +"));
    }

    private static int number(String word) {
        int end = 0;
        while (end < word.length() && Character.isDigit(word.charAt(end))) end++;
        return Integer.parseInt(word.substring(0, end));
    }
}
