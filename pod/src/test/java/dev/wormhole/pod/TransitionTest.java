// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.content.DiskVolume;
import dev.wormhole.content.IdSource;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.control.StartIntent;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Reforming;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A store goes over to another generation, or does not: whatever instant its pod is killed at. */
final class TransitionTest {
    private static final UUID NETWORK = new UUID(1, 2);
    private static final StoreHeader OLD = new StoreHeader("net", NETWORK, 1, new Incarnation(3), 33, 9, 0);
    private static final long GENERATION = Reforming.after(1, 77);
    private static final StoreHeader SAME = new StoreHeader("net", NETWORK, GENERATION, new Incarnation(3), 33, 9, 0);
    private static final StoreHeader ANEW =
            new StoreHeader("net", NETWORK, GENERATION, new Incarnation(5000), 55, 0, 0);

    @TempDir
    private Path store;

    private DiskVolume volume;

    @BeforeEach
    void makeAStore() throws IOException {
        volume = new DiskVolume(store);
        OLD.write(volume);
        IdSource.create(volume, OLD.incarnation());
        fill(store, "old");
        Files.createDirectory(store.resolve("packs"));
        Files.writeString(store.resolve("packs/1.pack"), "bytes of slices");
        new StartIntent.Rejoin("a:1", "").write(store);
        Files.writeString(store.resolve(Superseded.FILE), "x");
    }

    private static void fill(Path folder, String word) throws IOException {
        for (var part : List.of(Transition.TABLES, Transition.LOG, Transition.KEYS)) {
            Files.createDirectories(folder.resolve(part));
            Files.writeString(folder.resolve(part).resolve("word"), word);
        }
    }

    private void commit(StoreHeader next, boolean keepSlices) throws IOException {
        var transition = Transition.begin(store);
        fill(transition.folder(), "new");
        transition.commit(OLD, next, keepSlices);
    }

    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    /** @return whether it came to its end before that step */
    private boolean finishUntil(int killedAt) throws IOException {
        var steps = new int[1];
        try {
            Transition.finish(store, volume, () -> {
                if (++steps[0] > killedAt) throw new Killed();
            });
            return true;
        } catch (Killed killed) {
            return false;
        }
    }

    private TreeMap<String, String> files() throws IOException {
        var files = new TreeMap<String, String>();
        try (Stream<Path> walk = Files.walk(store)) {
            for (Path file : walk.filter(Files::isRegularFile).toList()) {
                var name = store.relativize(file).toString();
                if (!name.equals("store") && !name.equals("ids")) files.put(name, Files.readString(file));
            }
        }
        return files;
    }

    @Test
    void whateverStepItIsKilledAtTheNextStartFinishesIt() throws Exception {
        for (var next : List.of(SAME, ANEW)) {
            for (int killedAt = 0; ; killedAt++) {
                Transition.removeTree(store);
                Files.createDirectory(store);
                makeAStore();
                commit(next, true);
                var whole = finishUntil(killedAt);
                // Killed once more on the way, and then not.
                if (!whole && killedAt > 0) assertThat(finishUntil(1)).isIn(true, false);
                Transition.finish(store, volume);
                assertThat(StoreHeader.read(volume)).as("killed at " + killedAt).contains(next);
                assertThat(IdSource.open(volume, next.incarnation())).isNotNull();
                assertThat(files())
                        .containsEntry("tables/word", "new")
                        .containsEntry("log-raft/word", "new")
                        .containsEntry("keys/word", "new")
                        .containsEntry("former/generation-1/tables/word", "old")
                        .containsEntry("former/generation-1/log-raft/word", "old")
                        .containsEntry("former/generation-1/keys/word", "old")
                        .containsEntry("packs/1.pack", "bytes of slices")
                        .containsEntry("former/unlisted", "")
                        .hasSize(8);
                assertThat(Transition.finish(store, volume)).isFalse();
                if (whole) break;
                assertThat(killedAt).isLessThan(30);
            }
        }
    }

    @Test
    void beforeItIsCommittedNothingHasHappened() throws Exception {
        var before = files();
        var transition = Transition.begin(store);
        fill(transition.folder(), "new");
        assertThat(Transition.finish(store, volume)).isFalse();
        assertThat(files()).isEqualTo(before);
        assertThat(StoreHeader.read(volume)).contains(OLD);
    }

    @Test
    void whatIsNotLaidOutStays() throws Exception {
        var transition = Transition.begin(store);
        Files.createDirectory(transition.folder().resolve(Transition.TABLES));
        transition.commit(OLD, SAME, false);
        Transition.finish(store, volume);
        assertThat(files())
                .containsEntry("keys/word", "old")
                .containsEntry("former/generation-1/tables/word", "old")
                .doesNotContainKeys("tables/word", "former/unlisted", StartIntent.FILE, Superseded.FILE);
        // A second time from the same generation, after somebody put the old state back: nothing is overwritten.
        Files.writeString(store.resolve("tables/word"), "put back");
        var again = Transition.begin(store);
        Files.createDirectory(again.folder().resolve(Transition.TABLES));
        again.commit(OLD, SAME, false);
        Transition.finish(store, volume);
        assertThat(files())
                .containsEntry("former/generation-1/tables/word", "old")
                .containsEntry("former/generation-1-2/tables/word", "put back");
    }

    @Test
    void intentsSurviveTheirFile() throws Exception {
        for (var intent : List.of(
                new StartIntent.Reform(List.of("nas-1", "nas-2")),
                new StartIntent.Reform(List.of()),
                new StartIntent.Rejoin("a:1", "secret"))) {
            intent.write(store);
            assertThat(StartIntent.read(store)).contains(intent);
        }
        assertThat(new StartIntent.Rejoin("a:1", "secret").toString()).doesNotContain("secret");
        Files.writeString(store.resolve(StartIntent.FILE), "{\"action\": \"dance\"}");
        assertThatThrownBy(() -> StartIntent.read(store)).hasMessageContaining("names no known action");
    }
}
