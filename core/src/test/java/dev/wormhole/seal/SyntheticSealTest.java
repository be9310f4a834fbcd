// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.seal;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What was sealed once is opened for ever, and nothing else is. */
final class SyntheticSealTest {
    private static final SyntheticSeal SEAL = new SyntheticSeal(secret(), "sample");

    private static Secret secret() {
        byte[] bytes = new byte[Secret.BYTES];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) i;
        return Secret.of(bytes);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    /** Computed a second time by Python's hmac and OpenSSL. */
    @Test
    void theFormatStays() {
        assertThat(HexFormat.of()
                        .formatHex(SEAL.seal(bytes("context"), bytes("a text of more than one block of sixteen"))))
                .isEqualTo("a56312954be95260151f37bd1051bf0e34687751b6701ddbf3d1a1f156b9037c8715e83caf158c01"
                        + "7d9e418285a64e7567e0acb2ad3324ea");
        assertThat(HexFormat.of().formatHex(SEAL.seal(new byte[0], new byte[0])))
                .isEqualTo("76502165d277a58aecf364ec05bb5839");
        assertThat(SEAL.fingerprint(bytes("name"))).isEqualTo(0xd773b82c586dc73cL);
    }

    @Test
    void onlyTheSameInTheSamePlaceIsOpened() {
        var random = new Random(1);
        for (int length : new int[] {0, 1, 15, 16, 17, 100, 5000}) {
            byte[] text = new byte[length];
            random.nextBytes(text);
            byte[] sealed = SEAL.seal(bytes("here"), text);
            assertThat(SEAL.open(bytes("here"), sealed)).isEqualTo(text);
            assertThat(SEAL.open(bytes("there"), sealed)).isNull();
            assertThat(new SyntheticSeal(secret(), "another").open(bytes("here"), sealed))
                    .isNull();
            for (int at = 0; at < sealed.length; at += 1 + sealed.length / 50) {
                byte[] changed = sealed.clone();
                changed[at] ^= (byte) (1 << random.nextInt(8));
                assertThat(SEAL.open(bytes("here"), changed)).isNull();
            }
            assertThat(SEAL.open(bytes("here"), Arrays.copyOf(sealed, sealed.length - 1)))
                    .isNull();
        }
        assertThat(SEAL.open(bytes("here"), new byte[3])).isNull();
        // context and text do not run into each other
        assertThat(SEAL.seal(bytes("ab"), bytes("c"))).isNotEqualTo(SEAL.seal(bytes("a"), bytes("bc")));
    }
}
