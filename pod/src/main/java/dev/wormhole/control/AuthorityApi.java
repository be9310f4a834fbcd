// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.util.List;

/** The control commands about the network's authority, with what they take and give. */
public final class AuthorityApi {
    /** {} -> {@link Overview}. */
    public static final String SHOW = "authority";
    /** {@link Passphrase} -> {@link Exported}: asked of an administrator's pod. */
    public static final String EXPORT = "authority-export";
    /** {@link Restore} -> {@link Restored}: this pod holds the key from then on, and is an administrator's. */
    public static final String RESTORE = "authority-restore";
    /** {@link Rotate} -> {@link Rotated}: asked of an administrator's pod. */
    public static final String ROTATE = "authority-rotate";

    private AuthorityApi() {}

    /**
     * @param authorities the newest last
     * @param holdsKey the pod that answers can issue certificates
     */
    public record Overview(List<Authority> authorities, List<Pod> pods, boolean holdsKey) {
        public Overview {
            authorities = Commands.list(authorities);
            pods = Commands.list(pods);
        }

        /**
         * @param sinceMillis since the epoch; 0 unknown
         * @param state one of current, previous (it still counts), dropped
         */
        public record Authority(int number, String fingerprint, long sinceMillis, String state) {}

        /**
         * @param authority number of the one that issued what it shows; 0: it has not said yet
         * @param expiresMillis since the epoch; 0 unknown
         */
        public record Pod(String name, boolean administrator, int authority, long expiresMillis) {}
    }

    /** @param passphrase secret */
    public record Passphrase(String passphrase) {
        @Override
        public String toString() {
            return "a passphrase";
        }
    }

    /** @param text of a recovery file */
    public record Exported(String text, int number, String fingerprint) {}

    /** @param passphrase secret */
    public record Restore(String text, String passphrase) {
        @Override
        public String toString() {
            return "a recovery file and its passphrase";
        }
    }

    /** @param administrator false: the network decides nothing now, so it does not know yet */
    public record Restored(String fingerprint, boolean administrator) {}

    /** @param finish ends what was begun: who has not renewed must be let back */
    public record Rotate(boolean finish) {}

    /**
     * @param behind pods that show a certificate of the one before
     * @param invitations given out before, which nobody can use any more
     */
    public record Rotated(int number, String fingerprint, List<String> behind, int invitations) {
        public Rotated {
            behind = Commands.list(behind);
        }
    }
}
