// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.util.List;

/**
 * What {@code wormhole explain PATH} shows.
 *
 * @param path in the tree
 * @param type file, directory, symlink, ...
 * @param inode its number, as stat shows it
 * @param sizeBytes as stat shows it
 * @param contentVersion counts changes of its bytes
 * @param copiesWanted by the rule
 * @param copiesHad the fewest of any of its slices; copiesWanted for a file without bytes
 * @param decidedBy the rule or key that set copiesWanted
 * @param readOnly a rule forbids changes
 * @param slices that its content consists of
 * @param slicesBelow of them, with fewer copies than wanted
 * @param holders pods with at least one of its slices
 */
public record Explanation(
        String path,
        String type,
        long inode,
        long sizeBytes,
        long contentVersion,
        int copiesWanted,
        int copiesHad,
        String decidedBy,
        boolean readOnly,
        long slices,
        long slicesBelow,
        List<Holder> holders,
        List<String> notes) {
    public Explanation {
        path = Commands.text(path);
        type = Commands.text(type);
        decidedBy = Commands.text(decidedBy);
        holders = Commands.list(holders);
        notes = Commands.list(notes);
    }

    /**
     * Slices of the file on one pod, by what is known of them.
     *
     * @param state of the pod
     * @param written arrived, not promised to survive a power loss: no copy
     * @param durable on its disk: a copy
     * @param verified read back whole since: a copy
     * @param bytes of all of them
     */
    public record Holder(
            String pod, NetworkStatus.PodState state, long written, long durable, long verified, long bytes) {}
}
