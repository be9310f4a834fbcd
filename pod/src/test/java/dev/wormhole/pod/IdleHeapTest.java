// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import org.junit.jupiter.api.Test;

/** In a JVM with the daemon's collector, which gives memory back in its own way. */
class IdleHeapTest {
    @Test
    void memoryOfBusyTimesGoesBackOnceNothingHappens() throws Exception {
        Process java = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:+UseSerialGC",
                        "-XX:-ShrinkHeapInSteps",
                        "-XX:MaxHeapFreeRatio=50",
                        "-Xms24m",
                        "-Xmx160m",
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        Busy.class.getName())
                .redirectErrorStream(true)
                .start();
        String output = new String(java.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(output).isEqualTo("busy: false\nidle: true\ngave back most: true\nagain: false\n");
    }

    static final class Busy {
        private Busy() {}

        public static void main(String[] args) {
            var heap = new IdleHeap();
            var kept = new ArrayList<byte[]>();
            for (int i = 0; i < 3_000; i++) {
                kept.add(new byte[100_000]);
                if (kept.size() > 1_000) kept.clear();
            }
            kept.clear();
            long grown = Runtime.getRuntime().totalMemory();
            System.out.println("busy: " + heap.look());
            System.out.println("idle: " + heap.look());
            System.out.println("gave back most: " + (Runtime.getRuntime().totalMemory() < grown / 2));
            System.out.println("again: " + heap.look());
        }
    }
}
