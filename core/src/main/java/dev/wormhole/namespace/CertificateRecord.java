// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

/**
 * What a pod said of the certificate that it shows.
 *
 * @param authority number of the one that issued it
 * @param expiresMillis since the epoch
 */
public record CertificateRecord(int authority, long expiresMillis) {
    byte[] encode() {
        return Rows.numbers(authority, expiresMillis);
    }

    static CertificateRecord decode(byte[] row) {
        return new CertificateRecord((int) Rows.number(row, 0), Rows.number(row, 1));
    }
}
