// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Size;
import dev.wormhole.control.ControlClient;
import java.util.ArrayList;
import java.util.List;

/** Tables, and a line of progress for what takes longer than a second. For one thread. */
final class Console implements ControlClient.Listener, AutoCloseable {
    private static final long FIRST_AFTER_NANOS = 1_000_000_000L;
    private static final long SPARSE_NANOS = 5_000_000_000L;

    private final Host host;
    private final long begun = System.nanoTime();
    private long printed = Long.MIN_VALUE;
    private int width;
    private String prefix = "";

    Console(Host host) {
        this.host = host;
    }

    void prefix(String prefix) {
        this.prefix = prefix;
    }

    @Override
    public void progress(String text, long done, long total) {
        var now = System.nanoTime();
        if (now - begun < FIRST_AFTER_NANOS) return;
        var line = prefix + text;
        if (total > 0) {
            line += ": %d%% (%s of %s)"
                    .formatted(Math.min(100, Math.round(100.0 * done / total)), Size.human(done), Size.human(total));
        }
        if (host.terminal()) {
            host.err().print("\r" + line + " ".repeat(Math.max(0, width - line.length())));
            host.err().flush();
            width = line.length();
        } else if (printed == Long.MIN_VALUE || now - printed >= SPARSE_NANOS) {
            host.err().println(line);
            host.err().flush();
        } else {
            return;
        }
        printed = now;
    }

    /** Wipes the line of progress. */
    @Override
    public void close() {
        if (width == 0) return;
        host.err().print("\r" + " ".repeat(width) + "\r");
        host.err().flush();
        width = 0;
    }

    /** Columns as wide as their widest cell; a column whose name ends in > is aligned to the right; empty ones go. */
    static List<String> table(List<String> head, List<List<String>> rows) {
        var widths = new int[head.size()];
        for (var row : rows) {
            for (var i = 0; i < widths.length; i++)
                widths[i] = Math.max(widths[i], row.get(i).length());
        }
        var lines = new ArrayList<String>();
        var all = new ArrayList<List<String>>();
        all.add(head);
        all.addAll(rows);
        for (var row : all) {
            var line = new StringBuilder();
            for (var i = 0; i < widths.length; i++) {
                if (widths[i] == 0) continue;
                var right = head.get(i).endsWith(">");
                var title = right ? head.get(i).substring(0, head.get(i).length() - 1) : head.get(i);
                var cell = row == head ? title : row.get(i);
                var space = " ".repeat(Math.max(widths[i], title.length()) - cell.length());
                line.append(right ? space + cell : cell + space).append("  ");
            }
            lines.add(line.toString().stripTrailing());
        }
        return lines;
    }
}
