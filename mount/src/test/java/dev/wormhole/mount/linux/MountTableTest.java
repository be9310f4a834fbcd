// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class MountTableTest {
    @Test
    void namesAreUnescaped() {
        assertThat(MountTable.unescape("/a\\040b\\134c")).isEqualTo("/a b\\c");
    }

    @Test
    void theRootOfProcIsFound() throws Exception {
        assertThat(MountTable.topmostAt("/proc"))
                .satisfies(m -> assertThat(m.type()).isEqualTo("proc"));
        assertThat(MountTable.topmostAt("/proc/self")).isNull();
    }

    @Test
    void boottimeIsTheKernelsUptime() throws Exception {
        double before = uptimeSeconds();
        double boottime = OsClock.boottimeNanos() / 1e9;
        assertThat(boottime).isBetween(before - 0.02, uptimeSeconds() + 0.02); // uptime is cut to hundredths
        assertThat(OsClock.boottimeNanos()).isGreaterThan(Duration.ofMillis(1).toNanos());
    }

    private static double uptimeSeconds() throws Exception {
        var text = java.nio.file.Files.readString(java.nio.file.Path.of("/proc/uptime"));
        return Double.parseDouble(text.substring(0, text.indexOf(' ')));
    }
}
