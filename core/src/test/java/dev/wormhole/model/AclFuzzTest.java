// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

import dev.wormhole.testkit.Fuzz;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

class AclFuzzTest {
    @Test
    void lists() throws Exception {
        var to = ByteBuffer.allocate(4 + 8 * 6).order(ByteOrder.LITTLE_ENDIAN).putInt(2);
        for (int[] entry : new int[][] {{1, 6, -1}, {2, 4, 7}, {2, 4, 9}, {4, 4, -1}, {16, 4, -1}, {32, 0, -1}})
            to.putShort((short) entry[0]).putShort((short) entry[1]).putInt(entry[2]);
        Fuzz.of("access control list", to.array()).run(bytes -> {
            var list = Acl.decode(bytes);
            if (list == null) return null;
            var twice = list.renumbered(id -> id + 1, id -> -1).withHidden(list, id -> -1, id -> id);
            if (Acl.decode(twice.encode()) == null && list.named() == 0) throw new AssertionError("no list any more");
            return list.encode();
        });
    }
}
