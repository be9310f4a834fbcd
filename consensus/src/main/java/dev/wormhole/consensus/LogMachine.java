// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.apache.ratis.proto.RaftProtos.LogEntryProto;
import org.apache.ratis.proto.RaftProtos.RaftConfigurationProto;
import org.apache.ratis.protocol.Message;
import org.apache.ratis.protocol.RaftGroupId;
import org.apache.ratis.protocol.RaftGroupMemberId;
import org.apache.ratis.protocol.RaftPeerId;
import org.apache.ratis.server.RaftServer;
import org.apache.ratis.server.protocol.TermIndex;
import org.apache.ratis.server.raftlog.RaftLog;
import org.apache.ratis.server.storage.RaftStorage;
import org.apache.ratis.statemachine.SnapshotInfo;
import org.apache.ratis.statemachine.StateMachineStorage;
import org.apache.ratis.statemachine.TransactionContext;
import org.apache.ratis.statemachine.impl.BaseStateMachine;
import org.apache.ratis.thirdparty.com.google.protobuf.ByteString;
import org.apache.ratis.util.LifeCycle;
import org.jspecify.annotations.Nullable;

/**
 * Ratis' view of an {@link Applier}. Ratis replays the log from the last snapshot; whatever the state already contains is
 * skipped here. One per RaftServer; Ratis' updater thread calls everything that touches the state.
 */
final class LogMachine extends BaseStateMachine {
    private static final CompletableFuture<Message> DONE = CompletableFuture.completedFuture(Message.EMPTY);

    private final Applier applier;
    private final Settings.Sizes sizes;
    private final Runnable leaderMayHaveChanged;
    private final Consumer<RaftConfigurationProto> configured;
    private final Consumer<Throwable> bug;

    private @Nullable Snapshots snapshots;
    private @Nullable Path storage;
    private long contained = -1; // index up to which the state needs nothing; updater thread
    private volatile long bytesSinceSnapshot;
    private volatile boolean unsynced; // an installed snapshot's place in its directory

    LogMachine(
            Applier applier,
            Settings.Sizes sizes,
            Runnable leaderMayHaveChanged,
            Consumer<RaftConfigurationProto> configured,
            Consumer<Throwable> bug) {
        this.applier = applier;
        this.sizes = sizes;
        this.leaderMayHaveChanged = leaderMayHaveChanged;
        this.configured = configured;
        this.bug = bug;
    }

    @Override
    public void initialize(RaftServer server, RaftGroupId group, RaftStorage raftStorage) throws IOException {
        super.initialize(server, group, raftStorage);
        getLifeCycle()
                .startAndTransition(
                        () -> {
                            storage = raftStorage.getStorageDir().getRoot().toPath();
                            snapshots = new Snapshots(raftStorage
                                    .getStorageDir()
                                    .getStateMachineDir()
                                    .toPath());
                            catchUpWithSnapshot();
                        },
                        IOException.class);
    }

    /** Brings a state that is older than the newest snapshot up to it. */
    private void catchUpWithSnapshot() throws IOException {
        SnapshotInfo snapshot = snapshots().getLatestSnapshot();
        if (snapshot != null && applier.position().index() < snapshot.getIndex()) {
            applier.installSnapshot(snapshots().path());
            if (applier.position().index() < snapshot.getIndex()) {
                throw new IllegalStateException("installed " + snapshot + " but the state is at " + applier.position());
            }
        }
        contained = applier.position().index();
        setLastAppliedTermIndex(snapshot == null ? TermIndex.INITIAL_VALUE : snapshot.getTermIndex());
        bytesSinceSnapshot = 0;
    }

    @Override
    public CompletableFuture<Message> applyTransaction(TransactionContext transaction) {
        LogEntryProto entry = transaction.getLogEntry();
        if (entry == null) throw new IllegalStateException("transaction without an entry");
        ByteString data = entry.getStateMachineLogEntry().getLogData();
        long index = entry.getIndex();
        if (index > contained) {
            try {
                applier.apply(entry.getTerm(), index, data.toByteArray());
            } catch (Throwable e) {
                bug.accept(e);
                throw e; // stops Ratis' updater
            }
        }
        // A single writer: the updater thread.
        bytesSinceSnapshot = bytesSinceSnapshot + data.size();
        updateLastAppliedTermIndex(entry.getTerm(), index);
        return DONE;
    }

    @Override
    public void notifyTermIndexUpdated(long term, long index) {
        if (index > contained) {
            try {
                applier.applyEmpty(term, index);
            } catch (Throwable e) {
                bug.accept(e);
                throw e;
            }
        }
        updateLastAppliedTermIndex(term, index);
    }

    @Override
    public void notifyConfigurationChanged(long term, long index, RaftConfigurationProto configuration) {
        if (index > contained) configured.accept(configuration);
    }

    @Override
    public void notifyLeaderChanged(RaftGroupMemberId member, RaftPeerId leader) {
        leaderMayHaveChanged.run();
    }

    @Override
    public void notifyLeaderReady() {
        leaderMayHaveChanged.run();
    }

    /** Bytes of entries applied since the last snapshot, about what a new one would free. */
    long bytesSinceSnapshot() {
        return bytesSinceSnapshot;
    }

    /** Entries applied since the last snapshot. */
    long entriesSinceSnapshot() {
        SnapshotInfo snapshot = getLatestSnapshot();
        return getLastAppliedTermIndex().getIndex() - (snapshot == null ? -1 : snapshot.getIndex());
    }

    /**
     * A negative index tells Ratis not to purge: while a follower is being sent the last snapshot, the entries after it
     * must stay, or it would need another snapshot when this one is in.
     */
    @Override
    public synchronized long takeSnapshot() throws IOException {
        TermIndex at = getLastAppliedTermIndex();
        SnapshotInfo last = getLatestSnapshot();
        if (getLifeCycleState() != LifeCycle.State.RUNNING || at.getIndex() < 0) return RaftLog.INVALID_LOG_INDEX;
        if (at.getIndex() < contained) return RaftLog.INVALID_LOG_INDEX; // replaying: the state is ahead of this index
        if (snapshots().sending() && bytesSinceSnapshot < sizes.heldLogBytesMax()) return RaftLog.INVALID_LOG_INDEX;
        if (last != null && last.getIndex() >= at.getIndex()) return last.getIndex();
        snapshots().take(at, applier);
        bytesSinceSnapshot = 0;
        return at.getIndex();
    }

    /** Called when all chunks of a snapshot have come, before Ratis moves them into place and tells the leader. */
    @Override
    public synchronized void pause() {
        if (getLifeCycleState() != LifeCycle.State.RUNNING) return;
        getLifeCycle().transition(LifeCycle.State.PAUSING);
        getLifeCycle().transition(LifeCycle.State.PAUSED);
        try {
            Path received = storage().resolve("tmp");
            if (Files.isDirectory(received)) RocksTable.syncTree(received);
        } catch (IOException e) {
            bug.accept(e);
            throw new java.io.UncheckedIOException(e);
        }
        unsynced = true;
    }

    /**
     * Makes an installed snapshot durable in its place. Before every answer to another pod, because the answer may say
     * that this pod has it; Ratis itself syncs nothing here.
     */
    void syncInstalled() {
        if (!unsynced) return;
        synchronized (this) {
            if (!unsynced) return;
            try {
                RocksTable.sync(storage());
            } catch (IOException e) {
                bug.accept(e);
                throw new java.io.UncheckedIOException(e);
            }
            unsynced = false;
        }
    }

    @Override
    public void reinitialize() throws IOException {
        try {
            getLifeCycle()
                    .startAndTransition(
                            () -> {
                                syncInstalled();
                                snapshots().reload();
                                catchUpWithSnapshot();
                            },
                            IOException.class);
        } catch (Throwable e) {
            bug.accept(e);
            throw e;
        }
    }

    /** Answers reads: when Ratis asks, everything committed before the read is applied. */
    @Override
    public CompletableFuture<Message> query(Message request) {
        return DONE;
    }

    @Override
    public StateMachineStorage getStateMachineStorage() {
        Snapshots opened = snapshots;
        return opened != null ? opened : super.getStateMachineStorage();
    }

    @Override
    public void close() {
        if (!getLifeCycleState().isClosingOrClosed()) getLifeCycle().checkStateAndClose();
    }

    private Snapshots snapshots() {
        Snapshots opened = snapshots;
        if (opened == null) throw new IllegalStateException("not initialized");
        return opened;
    }

    private Path storage() {
        Path opened = storage;
        if (opened == null) throw new IllegalStateException("not initialized");
        return opened;
    }
}
