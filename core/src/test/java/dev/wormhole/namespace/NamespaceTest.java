// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static dev.wormhole.namespace.TestLog.ROOT;
import static dev.wormhole.namespace.TestLog.name;
import static dev.wormhole.namespace.TestLog.rename;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The whole machine, command by command; after each test the tables are checked whole. */
final class NamespaceTest {
    private static final Incarnation POD1 = new Incarnation(1);

    private final TestLog log = new TestLog();

    @AfterEach
    void consistent() {
        log.check();
    }

    @Test
    void anEmptyTableBecomesATreeWithARoot() {
        assertThat(log.stat(ROOT).permissions()).isEqualTo(0755);
        assertThat(log.stat(ROOT).links()).isEqualTo(2);
        assertThat(log.view().parent(ROOT)).isEqualTo(ROOT);
        assertThat(log.view().path(ROOT)).isEqualTo("/");
        assertThat(log.view().entries(ROOT, 0, 10)).isEmpty();
    }

    @Test
    void aFileIsCreatedLinkedRenamedAndRemoved() {
        InodeId d = log.directory(ROOT, "d");
        InodeId f = log.file(d, "f");
        assertThat(log.view().lookup(d, name("f"))).isEqualTo(f);
        assertThat(log.view().path(f)).isEqualTo("/d/f");
        log.done(new Command.Link(f, ROOT, name("g")));
        assertThat(log.stat(f).links()).isEqualTo(2);
        log.done(new Command.Unlink(d, name("f"), f));
        assertThat(log.view().path(f)).isEqualTo("/g");
        log.done(rename(ROOT, "g", f, d, "h", null));
        assertThat(log.view().path(f)).isEqualTo("/d/h");
        assertThat(log.view().lookup(ROOT, name("g"))).isNull();
        log.refused(new Command.RemoveDirectory(ROOT, name("d"), d), Errno.ENOTEMPTY);
        log.done(new Command.Unlink(d, name("h"), f));
        assertThat(log.view().orphans(null, 10)).extracting(NamespaceView.Orphan::inode).containsExactly(f);
        log.done(new Command.RemoveDirectory(ROOT, name("d"), d));
        log.done(new Command.AcknowledgeOrphans(POD1, log.index));
        assertThat(log.done(new Command.Reap(java.util.List.of(f, d)))).isEqualTo(2);
        assertThat(log.view().attributes(f)).isNull();
        assertThat(log.view().totals().inodes()).isEqualTo(1);
    }

    @Test
    void anOverwriteTrimsWhatItCovers() {
        InodeId f = log.file(ROOT, "f");
        SliceId a = log.write(f, 0, 100, 1, POD1);
        SliceId b = log.write(f, 40, 20, 1, POD1);
        assertThat(log.extents(f))
                .containsExactly("0+40=" + a + "@0", "40+20=" + b + "@0", "60+40=" + a + "@60");
        assertThat(log.record(a).names()).isEqualTo(2);
        SliceId c = log.write(f, 0, 100, 1, POD1);
        assertThat(log.extents(f)).containsExactly("0+100=" + c + "@0");
        assertThat(log.view().unnamedSlices(10)).containsExactly(a, b);
    }
}
