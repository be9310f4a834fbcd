// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.transfer.Kinds;
import dev.wormhole.transfer.PeerRefused;
import java.time.Duration;

/** Kinds, refusal codes and deadlines of the calls that pods make to each other beside slices; docs/formats/calls.md. */
final class Calls {
    /** A stranger asks to become a member. Open to strangers. */
    static final int JOIN = Kinds.KINDS_FREE;
    /** An encoded entry for the log, in the order of its session; answered with the index once committed. */
    static final int SUBMIT = Kinds.KINDS_FREE + 1;
    /** An index that covers everything committed before the call. */
    static final int BARRIER = Kinds.KINDS_FREE + 2;
    /** A pod tells its leader how it is; the answer is how the others are. */
    static final int HEARTBEAT = Kinds.KINDS_FREE + 3;
    /** Answered when the callee has applied, and so has on disk, the log up to an index. */
    static final int APPLIED = Kinds.KINDS_FREE + 4;
    /** The network's status as its leader knows it, in JSON. */
    static final int STATUS = Kinds.KINDS_FREE + 5;

    /** Which of some slices the callee has durably in its store, one byte each. */
    static final int HOLDS = Kinds.KINDS_FREE + 6;

    /** A pod of the prompt set answers by the log up to an index: told to whoever proposed it. */
    static final int TOLD = Kinds.KINDS_FREE + 7;

    /** Who begins to lead asks how a pod is, and when it last followed an older leader. */
    static final int LEADS = Kinds.KINDS_FREE + 8;

    /** What the leader has applied is committed: the callee applies it too. */
    static final int COMMITTED = Kinds.KINDS_FREE + 9;

    /** The authority's key, from one administrator's pod to another. */
    static final int AUTHORITY = Kinds.KINDS_FREE + 10;

    /** Machines that wait for an administrator's yes at the pod asked. */
    static final int REQUESTS = Kinds.KINDS_FREE + 11;
    /** An administrator's yes or no to one of them. */
    static final int DECIDE = Kinds.KINDS_FREE + 12;

    /** A member asks for its next certificate. */
    static final int RENEW = Kinds.KINDS_FREE + 13;
    /** A member whose certificate does not count any more asks to be let back. Open to strangers. */
    static final int RETURN = Kinds.KINDS_FREE + 14;

    /** Where the caller is, answered with where the callee is; and where others are, that the log may not know. */
    static final int WHEREABOUTS = Kinds.KINDS_FREE + 20;

    /** Which generations follow each other, between pods of any. Open to strangers. */
    static final int GENERATION = Kinds.KINDS_FREE + 32;

    static final int NOT_LEADER = PeerRefused.CODES_FREE;
    /** The pod asked cannot certify others. */
    static final int NO_AUTHORITY = PeerRefused.CODES_FREE + 1;
    /** The machine's request waits for an administrator: ask again. */
    static final int WAITING = PeerRefused.CODES_FREE + 2;

    /** The certificate counts: whoever asks to be let back needs no new one. */
    static final int STILL_GOOD = PeerRefused.CODES_FREE + 3;

    static final Duration SUBMIT_DEADLINE = Duration.ofSeconds(2);
    static final Duration BARRIER_DEADLINE = Duration.ofMillis(500);
    static final Duration HEARTBEAT_EVERY = Duration.ofMillis(250);
    static final Duration HEARTBEAT_DEADLINE = Duration.ofMillis(1000);

    static final Duration HOLDS_DEADLINE = Duration.ofSeconds(2);

    static final Duration TOLD_DEADLINE = Duration.ofMillis(1000);

    static final Duration LEADS_DEADLINE = Duration.ofMillis(1000);

    static final Duration AUTHORITY_DEADLINE = Duration.ofSeconds(5);

    static final Duration RENEW_DEADLINE = Duration.ofSeconds(5);

    private Calls() {}
}
