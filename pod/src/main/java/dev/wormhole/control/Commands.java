// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The control commands that every daemon answers, with what they take and give. */
public final class Commands {
    /** {} -> {}: answered as soon as the mount works and the pod follows its network; progress until then. */
    public static final String READY = "ready";
    /** {} -> {@link NetworkStatus}. */
    public static final String STATUS = "status";
    /** {} -> {@link NetworkStatus.Pods}. */
    public static final String PODS = "pods";
    /** {@link PathArgument} -> {@link Explanation}. */
    public static final String EXPLAIN = "explain";
    /** {} -> {}: unmounts, syncs, hands over; the process ends after the answer. */
    public static final String STOP = "stop";
    /** {@link LeaveArguments} -> {}: moves the pod's data to others, leaves the network; progress in bytes. */
    public static final String LEAVE = "leave";
    /** {} -> {@link ConfigText}: the configuration of the network as the log has it. */
    public static final String CONFIG = "config";
    /** {@link ConfigText} -> {}: makes it the network's configuration; answered when committed. */
    public static final String APPLY = "apply";
    /** {} -> {}: answered when all that was written before is on as many pods as fsync promises; progress in bytes. */
    public static final String SYNC = "sync";

    /** {@link InviteArguments} -> {@link Invited}: lets pods join; asked of an administrator's pod. */
    public static final String INVITE = "invite";
    /** {} -> {@link Invitations}: those that were given out, without their tokens, which nobody keeps. */
    public static final String INVITATIONS = "invitations";
    /** {@link InvitationId} -> {}: ends an invitation; asked of an administrator's pod. */
    public static final String WITHDRAW = "withdraw";

    /** {} -> {@link AuditLog}: who did what to the network. */
    public static final String AUDIT = "audit";
    /** {} -> {@link Administrators}. */
    public static final String ADMINISTRATORS = "administrators";
    /** {@link AdministratorArguments} -> {}: asked of an administrator's pod. */
    public static final String SET_ADMINISTRATOR = "set-administrator";
    /** {@link PodArgument} -> {@link Revoked}: every pod refuses it from now on; asked of an administrator's pod. */
    public static final String REVOKE = "revoke";

    /** {} -> {@link Requests}: machines that wait for a yes; asked of an administrator's pod. */
    public static final String REQUESTS = "requests";
    /** {@link DecideArguments} -> {}: says yes or no to one of them; asked of an administrator's pod. */
    public static final String DECIDE = "decide";

    /** {} -> {@link ReformPlan}: what this pod knows, for who thinks of re-forming its network. */
    public static final String REFORM_PLAN = "reform-plan";
    /** {@link ReformPlan.Order} -> {}: the pod ends after the answer, and starts again in the next generation. */
    public static final String REFORM = "reform";

    private Commands() {}

    public record Requests(List<Request> requests) {
        public Requests {
            requests = list(requests);
        }

        /**
         * @param fingerprint of the machine's key; it shows the same one while it waits
         * @param from the address that it asked from
         * @param member a pod of the network that wants to come back; otherwise a machine that wants to join
         */
        public record Request(String name, String fingerprint, String from, boolean member) {}
    }

    /** @param pod its name, or its fingerprint where two have one name */
    public record DecideArguments(String pod, boolean yes) {}

    /** @param pods names of the pods */
    public record Administrators(List<String> pods) {
        public Administrators {
            pods = list(pods);
        }
    }

    /** Newest last. */
    public record AuditLog(List<Act> acts) {
        public AuditLog {
            acts = list(acts);
        }

        /**
         * @param millis since the epoch
         * @param by the pod that asked for it
         * @param act a word such as {@code invited}
         */
        public record Act(long number, long millis, String by, String act, String subject) {}
    }

    public record AdministratorArguments(String pod, boolean administrator) {}

    /** @param pod a name */
    public record PodArgument(String pod) {}

    /** @param hadAuthority it was an administrator's pod: whoever has it can make pods */
    public record Revoked(boolean hadAuthority) {}

    /**
     * @param uses how many pods may join
     * @param seconds from now
     * @param name what the pod must be called; empty for any name
     * @param administrator who joins with it becomes an administrator
     * @param replaces who joins with it takes the place of the pod of that name
     */
    public record InviteArguments(int uses, long seconds, String name, boolean administrator, boolean replaces) {}

    /**
     * @param token secret: whoever has it may join
     * @param address HOST:PORT to join at
     * @param expiresMillis since the epoch
     */
    public record Invited(String id, String token, String address, long expiresMillis) {
        @Override
        public String toString() {
            return "invitation " + id;
        }
    }

    /** @param id the beginning of an invitation's id */
    public record InvitationId(String id) {}

    /** Newest last to expire. */
    public record Invitations(List<Invitation> invitations) {
        public Invitations {
            invitations = list(invitations);
        }

        /** @param by the pod that gave it out */
        public record Invitation(String id, int usesLeft, long expiresMillis, String name, String by) {}
    }

    /** @param path absolute in the tree: {@code /} is its root */
    public record PathArgument(String path) {}

    /** @param pod the name of the pod that goes, empty for the one asked */
    public record LeaveArguments(String pod) {}

    /** @param toml the text of a network.toml */
    public record ConfigText(String toml) {}

    /** A list as Gson may have left it. */
    static <T> List<T> list(@Nullable List<T> list) {
        return list == null ? List.of() : List.copyOf(list);
    }

    static String text(@Nullable String text) {
        return text == null ? "" : text;
    }
}
