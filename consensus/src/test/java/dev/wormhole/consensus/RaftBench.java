// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.consensus.Testbed.Node;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Measures three members on loopback: a main, because its numbers say something only beside the machine they are of. */
final class RaftBench {
    public static void main(String[] args) throws Exception {
        Path directory = Files.createTempDirectory(Path.of(args.length > 0 ? args[0] : "/var/tmp"), "raft-bench");
        try (Testbed bed = new Testbed(directory, false)) {
            List<Node> members = bed.voters(3);
            for (Node member : members) System.out.println(member + " fresh " + member.tell("usage"));
            System.out.println("warm up " + bed.leader().tell("bench 10 16 300"));
            for (int outstanding : new int[] {1, 16, 64}) {
                System.out.println("append 300 bytes, " + outstanding + " outstanding: "
                        + bed.leader().tell("bench 8 " + outstanding + " 300"));
            }
            System.out.println("read index: " + bed.leader().tell("bench 4 0 0"));
            for (Node member : members) System.out.println(member + " after load " + member.tell("usage"));
            Thread.sleep(20_000); // idle, which is what is measured
            for (Node member : members) System.out.println(member + " idle 20 s " + member.tell("usage"));
            Thread.sleep(20_000);
            for (Node member : members) System.out.println(member + " idle 40 s " + member.tell("usage"));
            for (int i = 0; i < 5; i++) {
                Node leader = bed.leader();
                long killed = System.nanoTime();
                leader.kill();
                bed.leader(leader);
                System.out.println("ready after " + (System.nanoTime() - killed) / 1_000_000 + " ms");
                leader.start(Settings.Start.JOIN);
                leader.tell("await " + bed.append("back"));
            }
        } finally {
            RocksTable.removeTree(directory);
        }
    }
}
