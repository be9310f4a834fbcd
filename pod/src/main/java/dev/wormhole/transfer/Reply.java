// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/**
 * The answer to a call.
 *
 * @param body the handler's bytes; owned by the receiver
 * @param appliedIndex what the answering pod had applied of the log when it sent this
 */
@SuppressWarnings("ArrayRecordComponent")
public record Reply(byte[] body, long appliedIndex) {}
