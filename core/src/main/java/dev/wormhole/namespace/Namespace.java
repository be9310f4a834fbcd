// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The replicated state of one pod: entries of the log go in, in order; the table and the {@link NamespaceView} over it come
 * out the same on every pod. Each entry is one write of the table, with the applied index and the digest of all rows in
 * it, so a table is always the state after some entry.
 *
 * <p>{@link #apply}, {@link #applyEmpty} and {@link #reload} belong to one thread; everything else may be called from any.
 * A refusal is an {@link Outcome}. {@link java.io.UncheckedIOException} (the table's disk) and
 * {@link IllegalStateException} (a bug, or a log newer than this code) leave the table as it was before the entry; the pod
 * stops.
 */
public final class Namespace {
    /** Batches of a session whose answers are kept at most; a proposer has fewer in flight. */
    public static final int ANSWERS_MAX = 16;

    /** Entries whose digests are remembered, for {@link Command.Digest}. */
    private static final int DIGESTS = 8_192;

    private static final long CACHE_BYTES = 32L << 20;
    private static final long GENERATION_FIRST = 1;
    private static final Outcome DONE = new Outcome.Done(0);

    private final Table table;
    private final TableView view;
    /** Digests by index modulo its length; not stored: after a restart a pod compares what it applied since. */
    private final long[] digests = new long[DIGESTS];

    private final long[] digestIndexes = new long[DIGESTS];

    /** Opens the state in the table, or makes the empty tree there: a root of mode 0755 that belongs to root. */
    public Namespace(Table table) {
        this(table, GENERATION_FIRST, CACHE_BYTES);
    }

    /**
     * @param generation of the log, for a table without a state; one with a state keeps its own
     * @param cacheBytesMax heap for the cache of inodes and names
     */
    public Namespace(Table table, long generation, long cacheBytesMax) {
        this.table = table;
        if (table.get(Keys.APPLIED) == null) format(table, generation);
        TableView.Heads heads = TableView.read(table);
        view = new TableView(table, new RowCache(cacheBytesMax), heads);
        remember(heads);
    }

    private static void format(Table table, long generation) {
        var state = new Working(table, 0, 0, new TreeMap<>(), new NamespaceView.Totals(0, 0, 0, 0, 0));
        InodeRow root = state.newInode(InodeId.ROOT, FileType.DIRECTORY);
        root.permissions = 0755;
        root.links = 2;
        root.parent = root.id;
        state.put(Keys.FORMAT, Rows.numbers(1));
        state.put(Keys.LEVEL, Rows.numbers(1));
        state.put(Keys.GENERATION, Rows.numbers(generation));
        table.write(state.finish(0).batch());
    }

    public NamespaceView view() {
        return view;
    }

    /** Life of the log that the state belongs to; entries of another are not applied. */
    public long generation() {
        return view.heads().generation();
    }

    /** Sum of the hashes of all rows after the last entry applied: the same on every pod at the same index. */
    public long digest() {
        return view.heads().digest();
    }

    /** Sum of all ticks: time that the leaders' clocks saw pass. */
    public long elapsedNanos() {
        return view.heads().elapsedNanos();
    }

    /**
     * What a batch of a session was answered, for a proposer whose batch came with an installed snapshot.
     *
     * @return null if the session is not open, the batch was not applied, or its answers are no longer kept
     */
    public @Nullable List<Outcome> answered(SessionId session, long sequence) {
        try (Table.Snapshot snapshot = table.snapshot()) {
            int number = session.incarnation().number();
            byte[] row = snapshot.get(Keys.of(Keys.SESSION, number));
            if (row == null || MemberChanges.Session.decode(row).startCount() != session.startCount()) return null;
            byte[] answers = snapshot.get(Keys.of(Keys.ANSWER, number, sequence));
            return answers == null ? null : Rows.answers(answers);
        }
    }

    /** The last batch of the session that was applied, 0 for none, -1 if the session is not open. */
    public long lastSequence(SessionId session) {
        byte[] row = table.get(Keys.of(Keys.SESSION, session.incarnation().number()));
        if (row == null) return -1;
        MemberChanges.Session open = MemberChanges.Session.decode(row);
        return open.startCount() == session.startCount() ? open.last() : -1;
    }

    // ---- apply

    /**
     * Applies an encoded entry.
     *
     * @throws UnknownCommandException when the bytes are no entry that this code knows; nothing was applied
     */
    public Applied apply(long index, byte[] entry) {
        try {
            return apply(index, Entry.decode(entry));
        } catch (MalformedEntryException e) {
            throw new UnknownCommandException("entry " + index + ": " + e.getMessage(), e);
        }
    }

    /**
     * Applies the entry with the log's next index, in one write of the table.
     *
     * @throws UnknownCommandException when the entry is of a group or level that this code does not know
     */
    public Applied apply(long index, Entry entry) {
        TableView.Heads heads = view.heads();
        if (index <= heads.appliedIndex()) return applied(index, Applied.Status.SKIPPED, entry, List.of());
        if (entry.group() != Keys.GROUP)
            throw new UnknownCommandException("entry " + index + ": group " + entry.group());
        if (entry.level() > Entry.LEVEL_MAX)
            throw new UnknownCommandException("entry " + index + ": level " + entry.level());
        var apply = new Batch(heads, index, entry);
        if (entry.generation() != heads.generation()) return apply.nothing(Applied.Status.WRONG_GENERATION);
        SessionId id = entry.session();
        if (id == null) {
            for (Command command : entry.commands())
                if (!(command instanceof Command.OpenSession
                        || command instanceof Command.AdmitPod
                        || command instanceof Command.SetPrompt)) return apply.nothing(Applied.Status.NO_SESSION);
            return apply.commands();
        }
        int number = id.incarnation().number();
        MemberChanges.Session session = apply.members.session(number);
        if (session == null || session.startCount() != id.startCount()) return apply.nothing(Applied.Status.NO_SESSION);
        if (entry.sequence() <= session.last()) {
            byte[] answers = apply.state.get(Keys.of(Keys.ANSWER, number, entry.sequence()));
            apply.commit();
            return applied(index, Applied.Status.REPEAT, entry, answers == null ? List.of() : Rows.answers(answers));
        }
        if (entry.sequence() > session.last() + 1) return apply.nothing(Applied.Status.GAP);
        return apply.commands();
    }

    /** Moves the applied index past an entry that is the log's own. */
    public void applyEmpty(long index) {
        TableView.Heads heads = view.heads();
        if (index <= heads.appliedIndex()) return;
        var state = new Working(table, index, 0, heads.pods(), heads.totals());
        commit(state, heads, heads.level());
    }

    /**
     * To be called when the table's rows were replaced by a snapshot, before anything reads the view again: what stands in
     * memory is read anew.
     *
     * @return what to tell
     */
    public List<Change> reload() {
        TableView.Heads heads = TableView.read(table);
        view.cache.clear();
        Arrays.fill(digestIndexes, -1);
        view.publish(heads);
        view.cache.clear(); // what was read between, with the members of before
        remember(heads);
        return List.of(new Change.Replaced());
    }

    private static Applied applied(long index, Applied.Status status, Entry entry, List<Outcome> outcomes) {
        return new Applied(index, status, entry.session(), entry.sequence(), outcomes, List.of(), false);
    }

    private void remember(TableView.Heads heads) {
        int slot = (int) (heads.appliedIndex() % DIGESTS);
        digests[slot] = heads.digest();
        digestIndexes[slot] = heads.appliedIndex();
    }

    /** Writes the table, then lets readers see it: rows first, cached rows away next, heads last. */
    private void commit(Working state, TableView.Heads before, int level) {
        Working.Finished finished = state.finish(before.digest());
        table.write(finished.batch());
        byte[] configuration = null;
        long elapsed = before.elapsedNanos();
        for (Map.Entry<byte[], byte @Nullable []> row : finished.batch().rows().entrySet()) {
            byte[] key = row.getKey();
            switch (key[2]) {
                case Keys.INODE -> view.cache.forget(Keys.id(key, 0));
                case Keys.ENTRY -> view.cache.forget(Keys.id(key, 0), new FileName(Keys.tail(key, 2)));
                case Keys.META -> {
                    byte[] value = row.getValue();
                    if (value != null && key[3] == Keys.CONFIGURATION[3]) configuration = value;
                    if (value != null && key[3] == Keys.ELAPSED[3]) elapsed = Rows.number(value, 0);
                }
                default -> {} // never cached
            }
        }
        var heads = new TableView.Heads(
                state.index,
                finished.digest(),
                level,
                before.generation(),
                elapsed,
                state.totals(),
                configuration == null ? before.configuration() : MemberChanges.configuration(configuration),
                state.pods);
        view.publish(heads);
        remember(heads);
    }

    /** One entry being applied. */
    private final class Batch {
        final TableView.Heads heads;
        final Entry entry;
        final Working state;
        final ContentChanges content;
        final TreeChanges tree;
        final LockChanges locks;
        final MemberChanges members;
        final InvitationChanges invitations;
        final AuthorityChanges authorities;
        final Audit audit;
        int level;
        boolean diverged;

        Batch(TableView.Heads heads, long index, Entry entry) {
            this.heads = heads;
            this.entry = entry;
            state = new Working(table, index, entry.nanos(), heads.pods(), heads.totals());
            content = new ContentChanges(state);
            SessionId session = entry.session();
            locks = new LockChanges(state, session == null ? null : session.incarnation());
            tree = new TreeChanges(state, content, locks);
            members = new MemberChanges(state, tree, content, locks);
            audit = new Audit(state, session == null ? null : session.incarnation());
            invitations = new InvitationChanges(state, members, session == null ? null : session.incarnation());
            authorities = new AuthorityChanges(state, session == null ? null : session.incarnation());
            level = heads.level();
        }

        void commit() {
            Namespace.this.commit(state, heads, level);
        }

        Applied nothing(Applied.Status status) {
            commit();
            return applied(state.index, status, entry, List.of());
        }

        Applied commands() {
            var outcomes = new ArrayList<Outcome>(entry.commands().size());
            for (Command command : entry.commands()) outcomes.add(apply(command));
            SessionId id = entry.session();
            if (id != null) answered(id, outcomes);
            commit();
            return new Applied(
                    state.index, Applied.Status.FRESH, id, entry.sequence(), outcomes, state.told(), diverged);
        }

        /** Stores the answers, and forgets those that the proposer has. A batch may have ended its own session. */
        private void answered(SessionId id, List<Outcome> outcomes) {
            int number = id.incarnation().number();
            MemberChanges.Session session = members.session(number);
            if (session == null || session.startCount() != id.startCount()) return;
            long last = entry.sequence();
            long kept = Math.max(session.kept(), Math.min(entry.lowestUnanswered(), last));
            kept = Math.max(kept, last - ANSWERS_MAX + 1);
            members.forgetAnswers(number, session.kept(), kept);
            state.put(Keys.of(Keys.ANSWER, number, last), Rows.answers(outcomes));
            members.putSession(number, new MemberChanges.Session(session.startCount(), last, kept));
        }

        private Outcome apply(Command command) {
            Audit.Intent intent = audit.intent(command);
            if (intent == null) return change(command);
            String by = audit.proposerName();
            Outcome outcome = change(command);
            if (outcome instanceof Outcome.Done && invitations.hasAdministrators()) audit.note(intent, by);
            return outcome;
        }

        private Outcome change(Command command) {
            InodeId written = written(command);
            if (written != null && locks.isFenced(written)) return new Outcome.Refused(Errno.EIO);
            if (!invitations.permits(command)) return new Outcome.Refused(Errno.EPERM);
            return switch (command) {
                case Command.Create c -> tree.create(c);
                case Command.CreateOrphan c -> tree.createOrphan(c);
                case Command.Link c -> tree.link(c);
                case Command.Unlink c -> tree.unlink(c);
                case Command.RemoveDirectory c -> tree.removeDirectory(c);
                case Command.Rename c -> tree.rename(c);
                case Command.SetAttributes c -> tree.setAttributes(c);
                case Command.SetXattr c -> tree.setXattr(c);
                case Command.RemoveXattr c -> tree.removeXattr(c);
                case Command.SetAcl c -> tree.setAcl(c);
                case Command.SetFlags c -> tree.setFlags(c);
                case Command.Write c -> content.write(c, tree::killPrivileges);
                case Command.Append c -> content.append(c, tree::killPrivileges);
                case Command.PunchHole c -> content.punchHole(c);
                case Command.AddHolders c -> content.addHolders(c);
                case Command.DropHolder c -> content.dropHolder(c);
                case Command.LoseHolder c -> content.loseHolder(c);
                case Command.Discard c -> content.discard(c);
                case Command.Abandon c -> content.abandon(c);
                case Command.OpenSession c -> members.open(c);
                case Command.Hold c -> tree.hold(c);
                case Command.Release c -> tree.release(c);
                case Command.Reap c -> tree.reap(c);
                case Command.AcknowledgeOrphans c -> members.acknowledge(c);
                case Command.Tick c -> tick(c);
                case Command.RaiseLevel c -> raiseLevel(c);
                case Command.Digest c -> digest(c);
                case Command.AdmitPod c -> members.admit(c);
                case Command.UpdatePod c -> members.update(c);
                case Command.SetDraining c -> members.setDraining(c);
                case Command.SetAbsent c -> members.setAbsent(c);
                case Command.SetPrompt c ->
                    entry.session() == null ? members.setPrompt(c) : new Outcome.Refused(Errno.EINVAL);
                case Command.RemovePod c -> members.remove(c);
                case Command.Configure c -> members.configure(c);
                case Command.SetAdministrator c -> invitations.setAdministrator(c);
                case Command.Invite c -> invitations.invite(c);
                case Command.Withdraw c -> invitations.withdraw(c);
                case Command.JoinPod c -> invitations.join(c);
                case Command.TrustAuthority c -> authorities.trust(c);
                case Command.DropAuthority c -> authorities.drop(c);
                case Command.Certified c -> authorities.certified(c);
                case Command.Recertify c -> authorities.recertify(c);
                case Command.ExportedAuthority c -> authorities.exported(c);
                case Command.ClaimAdministration c -> authorities.claim(c);
                case Command.Lock c -> locks.lock(c);
                case Command.Unlock c -> locks.unlock(c);
                case Command.CancelLock c -> locks.cancel(c);
                case Command.ShareLocks c -> locks.share(c);
                case Command.KeepLocks c -> locks.keep(c);
                case Command.TakeLocks c -> locks.take(c);
                case Command.ForgoLocks c -> locks.forgo(c);
            };
        }

        /** The file whose bytes a command changes; null if none. */
        private static @Nullable InodeId written(Command command) {
            return switch (command) {
                case Command.Write c -> c.inode();
                case Command.Append c -> c.inode();
                case Command.PunchHole c -> c.inode();
                case Command.SetAttributes c -> c.size() == null ? null : c.inode();
                default -> null;
            };
        }

        private Outcome tick(Command.Tick c) {
            if (c.elapsedNanos() < 0) return new Outcome.Refused(Errno.EINVAL);
            byte[] row = state.get(Keys.ELAPSED);
            long before = row == null ? 0 : Rows.number(row, 0);
            long after = before + Math.min(c.elapsedNanos(), Long.MAX_VALUE - before);
            state.put(Keys.ELAPSED, Rows.numbers(after));
            return DONE;
        }

        /** This pod is a member itself, so a level that this code does not know is not known to every pod. */
        private Outcome raiseLevel(Command.RaiseLevel c) {
            if (c.level() != level + 1 || c.level() > Entry.LEVEL_MAX) return new Outcome.Refused(Errno.EINVAL);
            level = c.level();
            state.put(Keys.LEVEL, Rows.numbers(level));
            return DONE;
        }

        private Outcome digest(Command.Digest c) {
            int slot = (int) Math.floorMod(c.index(), (long) DIGESTS);
            if (c.index() < state.index && digestIndexes[slot] == c.index() && digests[slot] != c.digest())
                diverged = true;
            return DONE;
        }
    }
}
