// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.Position;
import dev.wormhole.consensus.RocksTable;
import dev.wormhole.content.CorruptSliceException;
import dev.wormhole.content.DiskVolume;
import dev.wormhole.content.SliceStore;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.content.StoreLock;
import dev.wormhole.content.UnchangedVolume;
import dev.wormhole.control.DaemonEntry;
import dev.wormhole.control.StoreCheck;
import dev.wormhole.control.StoreFiles;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Namespace;
import dev.wormhole.namespace.NamespaceChecker;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.namespace.Table;
import dev.wormhole.placement.Custody;
import dev.wormhole.seal.Secret;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.StoreKey;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.random.RandomGenerator;

/** Looks into the store of a pod that does not run, as its next start would find it, and changes nothing. */
final class StoreInspection {
    private static final int FINDINGS_MAX = 1_000;
    private static final long CACHE_BYTES = 1 << 20;

    private final StoreHeader header;
    private final boolean inOrder;
    private final NamespaceView view;
    private final SliceStore slices;
    private final List<String> findings = new ArrayList<>();
    private long withoutCopy;
    private long stored;
    private long storedBytes;
    private long dead;
    private long uncommitted;
    private long unclaimed;

    private StoreInspection(StoreHeader header, boolean inOrder, NamespaceView view, SliceStore slices) {
        this.header = header;
        this.inOrder = inOrder;
        this.view = view;
        this.slices = slices;
    }

    static StoreCheck run(Path store, boolean bytes, DaemonEntry.Unlock unlock) throws IOException {
        if (!Files.isDirectory(store)) throw new IOException("there is no store in " + store);
        var volume = new UnchangedVolume(new DiskVolume(store));
        var header = StoreHeader.read(volume)
                .orElseThrow(() -> new IOException("the store " + store + " belongs to no network: nothing to check"));
        var plain = new KeyFiles(store);
        Optional<Secret> key = StoreKey.exists(plain)
                ? Optional.of(StoreKey.open(plain, unlock.keyFile(), unlock.passphrase()))
                : Optional.empty();
        var names = AtRest.keys(plain, key).networkKey();
        boolean inOrder = !Files.exists(StoreFiles.pidFile(store));
        Set<SliceId> damaged = new LinkedHashSet<>();
        // Nothing is written, so limits, reserve and chance are of no matter, and nothing is to be maintained.
        var config = new SliceStore.Config(Long.MAX_VALUE, 0, 0, 0, 64 << 20, 64);
        try (var _ = StoreLock.acquire(store);
                var rocks = RocksTable.openForReading(store.resolve("tables"), RocksTable.Memory.SMALL);
                var slices =
                        SliceStore.open(volume, config, damaged::add, _ -> {}, RandomGenerator.getDefault(), key)) {
            Table table = new LogSeal(names).table(rocks);
            if (rocks.position().equals(Position.NONE))
                throw new IOException("the store " + store + " has applied nothing of its network's log yet");
            var view = new Namespace(table, header.generation(), CACHE_BYTES).view();
            var inspection = new StoreInspection(header, inOrder, view, slices);
            NamespaceChecker.check(table).forEach(inspection::found);
            inspection.compare(bytes);
            for (SliceId slice : damaged) inspection.damaged(slice);
            return inspection.result(store);
        }
    }

    private void found(String finding) {
        if (findings.size() < FINDINGS_MAX) findings.add(finding);
    }

    private void compare(boolean bytes) {
        slices.forEachDurable(slice -> {
            stored++;
            storedBytes += slices.length(slice);
            stored(slice);
            if (bytes) verify(slice);
        });
        view.slices(null, row -> {
            expected(row);
            return true;
        });
    }

    private void stored(SliceId slice) {
        SliceRecord row = view.slice(slice);
        if (row == null) {
            if (Custody.isDead(view, slice)) dead++;
            else uncommitted++;
        } else if (slices.length(slice) != row.lengthBytes()) {
            found(slice + " has " + slices.length(slice) + " bytes in this store, should have " + row.lengthBytes());
        } else if (!row.heldBy(header.incarnation())) {
            unclaimed++;
        }
    }

    private void expected(SliceRecord row) {
        boolean copied =
                row.holders().stream().anyMatch(holder -> holder.state().isCopy());
        if (row.names() > 0 && !copied) withoutCopy++;
        if (inOrder && row.heldBy(header.incarnation()) && !slices.isDurable(row.slice()))
            found(row.slice() + " of " + row.inode() + " should be in this store and is not");
    }

    private void verify(SliceId slice) {
        try {
            slices.verify(slice);
        } catch (CorruptSliceException damage) {
            damaged(slice);
        } catch (IOException failure) {
            found(slice + " cannot be read: " + failure.getMessage());
        }
    }

    /** A crash may leave parts of slices that nobody counts on. */
    private void damaged(SliceId slice) {
        SliceRecord row = view.slice(slice);
        if (row != null && row.heldBy(header.incarnation())) found(slice + " of " + row.inode() + " is damaged");
    }

    private StoreCheck result(Path store) {
        var totals = view.totals();
        return new StoreCheck(
                store.toString(),
                header.networkName(),
                header.incarnation().number(),
                inOrder,
                view.appliedIndex(),
                totals.inodes(),
                totals.orphans(),
                totals.slices(),
                totals.unnamedSlices(),
                withoutCopy,
                stored,
                storedBytes,
                dead,
                uncommitted,
                unclaimed,
                List.copyOf(new LinkedHashSet<>(findings)));
    }
}
