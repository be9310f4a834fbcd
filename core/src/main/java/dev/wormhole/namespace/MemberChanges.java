// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Rows.PodRow;
import org.jspecify.annotations.Nullable;

/** Pods, their sessions, the configuration. */
final class MemberChanges {
    private static final int NAME_CHARS_MAX = 63;
    private static final Outcome DONE = new Outcome.Done(0);

    private final Working state;
    private final TreeChanges tree;
    private final ContentChanges content;
    private final LockChanges locks;

    MemberChanges(Working state, TreeChanges tree, ContentChanges content, LockChanges locks) {
        this.state = state;
        this.tree = tree;
        this.content = content;
        this.locks = locks;
    }

    private static Outcome refused(Errno errno) {
        return new Outcome.Refused(errno);
    }

    // ---- pods

    Outcome admit(Command.AdmitPod c) {
        byte[] token = Keys.of(Keys.TOKEN, c.storeToken());
        byte[] known = state.get(token);
        if (known != null) {
            int granted = (int) Rows.number(known, 0);
            return state.isMember(granted) ? new Outcome.Done(granted) : refused(Errno.ESTALE);
        }
        if (!isName(c.settings().name())) return refused(Errno.EINVAL);
        if (named(c.settings().name()) != null) return refused(Errno.EEXIST);
        byte[] row = state.get(Keys.ALLOCATOR);
        long number = (row == null ? 0 : Rows.number(row, 0)) + 1;
        if (number > Ids.ALLOCATOR_MAX) return refused(Errno.ENOSPC);
        state.put(Keys.ALLOCATOR, Rows.numbers(number));
        state.put(token, Rows.numbers(number));
        var record = new PodRecord(new Incarnation((int) number), c.settings(), false, false, false, 0, 0, state.index);
        state.putPod(new PodRow(record, c.storeToken()), true);
        return new Outcome.Done(number);
    }

    static boolean isName(String name) {
        if (name.isEmpty() || name.length() > NAME_CHARS_MAX) return false;
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            if (!(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')) return false;
        }
        return true;
    }

    private @Nullable PodRow named(String name) {
        for (PodRow pod : state.pods.values())
            if (pod.record().settings().name().equals(name)) return pod;
        return null;
    }

    private Outcome update(PodRow pod, PodRecord record) {
        if (!record.equals(pod.record())) state.putPod(new PodRow(record, pod.token()), true);
        return DONE;
    }

    Outcome update(Command.UpdatePod c) {
        PodRow pod = state.pods.get(c.incarnation().number());
        if (pod == null) return refused(Errno.ENOENT);
        if (!isName(c.settings().name())) return refused(Errno.EINVAL);
        PodRow other = named(c.settings().name());
        if (other != null && other.number() != pod.number()) return refused(Errno.EEXIST);
        return update(pod, pod.record().withSettings(c.settings()));
    }

    Outcome setDraining(Command.SetDraining c) {
        PodRow pod = state.pods.get(c.incarnation().number());
        if (pod == null) return refused(Errno.ENOENT);
        return update(pod, pod.record().withDraining(c.draining()));
    }

    Outcome setAbsent(Command.SetAbsent c) {
        PodRow pod = state.pods.get(c.incarnation().number());
        if (pod == null) return refused(Errno.ENOENT);
        return update(pod, pod.record().withAbsent(c.absent()));
    }

    Outcome setPrompt(Command.SetPrompt c) {
        PodRow pod = state.pods.get(c.incarnation().number());
        if (pod == null) return refused(Errno.ENOENT);
        if (c.prompt() && pod.record().startCount() != c.startCount()) return refused(Errno.ESTALE);
        return update(pod, pod.record().withPrompt(c.prompt() && !pod.record().absent()));
    }

    Outcome remove(Command.RemovePod c) {
        int number = c.incarnation().number();
        PodRow pod = state.pods.get(number);
        if (pod == null) return refused(Errno.ENOENT);
        if (!c.force() && content.isLastHolder(number)) return refused(Errno.EBUSY);
        tree.endHolds(number);
        locks.endPod(c.incarnation());
        endSession(number);
        // Its holder records count no more from here on, and go from each row when that is next written.
        state.removePod(number);
        state.remove(Keys.of(Keys.ADMINISTRATOR, number));
        state.remove(Keys.of(Keys.POD_KEY, number));
        state.remove(Keys.of(Keys.CERTIFICATE, number));
        content.memberRemoved(number);
        return DONE;
    }

    Outcome acknowledge(Command.AcknowledgeOrphans c) {
        PodRow pod = state.pods.get(c.incarnation().number());
        if (pod == null) return refused(Errno.ENOENT);
        PodRecord r = pod.record();
        // Nobody can have applied what is not yet there.
        long index = Math.min(c.index(), state.index);
        if (index <= r.orphansAcknowledgedIndex()) return DONE;
        state.putPod(new PodRow(r.withOrphansAcknowledged(index), pod.token()), false);
        return DONE;
    }

    // ---- sessions

    /** What the log knows of a session: batches up to {@code last} are applied, answers from {@code kept} on are stored. */
    record Session(long startCount, long last, long kept) {
        byte[] encode() {
            return Rows.numbers(startCount, last, kept);
        }

        static Session decode(byte[] row) {
            return new Session(Rows.number(row, 0), Rows.number(row, 1), Rows.number(row, 2));
        }
    }

    @Nullable Session session(int incarnation) {
        byte[] row = state.get(Keys.of(Keys.SESSION, incarnation));
        return row == null ? null : Session.decode(row);
    }

    void putSession(int incarnation, Session session) {
        state.put(Keys.of(Keys.SESSION, incarnation), session.encode());
    }

    Outcome open(Command.OpenSession c) {
        int number = c.incarnation().number();
        PodRow pod = state.pods.get(number);
        if (pod == null) return refused(Errno.ENOENT);
        PodRecord r = pod.record();
        if (c.startCount() <= 0 || c.settledCounter() < 0 || c.settledCounter() > Ids.COUNTER_MAX)
            return refused(Errno.EINVAL);
        if (c.startCount() < r.startCount()) return refused(Errno.ESTALE);
        // Every start reserves ids before it asks, so of one store the mark stands still within a start and never
        // falls.
        if (c.startCount() == r.startCount())
            return c.settledCounter() == r.settledCounter() ? DONE : refused(Errno.EEXIST);
        if (c.settledCounter() < r.settledCounter()) return refused(Errno.EEXIST);
        endSession(number);
        tree.endHolds(number);
        locks.endPod(c.incarnation());
        putSession(number, new Session(c.startCount(), 0, 1));
        content.settled(number, c.settledCounter());
        return update(pod, r.withStart(c.startCount(), c.settledCounter()));
    }

    private void endSession(int number) {
        Session session = session(number);
        if (session == null) return;
        forgetAnswers(number, session.kept(), session.last() + 1);
        state.remove(Keys.of(Keys.SESSION, number));
    }

    void forgetAnswers(int incarnation, long from, long to) {
        for (long sequence = from; sequence < to; sequence++) state.remove(Keys.of(Keys.ANSWER, incarnation, sequence));
    }

    // ---- the network

    Outcome configure(Command.Configure c) {
        byte[] row = state.get(Keys.CONFIGURATION);
        long version = row == null ? 0 : configuration(row).version();
        if (c.basedOn() != version) return refused(Errno.ESTALE);
        state.put(
                Keys.CONFIGURATION,
                new ByteSink(32).u8(Rows.FORMAT).i64(version + 1).text(c.toml()).toBytes());
        state.changes.add(new Change.Configured());
        return new Outcome.Done(version + 1);
    }

    static NamespaceView.Configuration configuration(byte[] row) {
        Rows.checkFormat(row, Rows.FORMAT);
        try {
            var from = new ByteSource(row, 1, row.length);
            return new NamespaceView.Configuration(from.i64(), from.text());
        } catch (MalformedEntryException e) {
            throw new IllegalStateException("row of the configuration", e);
        }
    }
}
