// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.mount.fuse.Request;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;

/** Logs failures, each cause once a minute however often it strikes, and passes bugs on. Thread-safe. */
final class Troubles {
    private static final System.Logger LOG = System.getLogger("dev.wormhole.mount");
    private static final int CAUSES_MAX = 256;
    private static final long QUIET_NANOS = 60_000_000_000L;

    private final String mount;
    private final Consumer<Throwable> onBug;
    private final Map<String, Seen> causes = new LinkedHashMap<>(64, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Seen> eldest) {
            return size() > CAUSES_MAX;
        }
    };

    private record Seen(long loggedNanos, long quiet) {}

    Troubles(String mount, Consumer<Throwable> onBug) {
        this.mount = mount;
        this.onBug = onBug;
    }

    void failure(Request request, Throwable cause) {
        String key = cause.getClass().getName() + ": " + cause.getMessage();
        long quiet = 0;
        synchronized (causes) {
            long now = System.nanoTime();
            Seen seen = causes.get(key);
            if (seen != null && now - seen.loggedNanos < QUIET_NANOS) {
                causes.put(key, new Seen(seen.loggedNanos, seen.quiet + 1));
                return;
            }
            if (seen != null) quiet = seen.quiet;
            causes.put(key, new Seen(now, 0));
        }
        var text = "mount " + mount + ": " + describe(request) + " answered EIO: " + key
                + (quiet > 0 ? " (and " + quiet + " times since last told)" : "");
        LOG.log(System.Logger.Level.WARNING, text);
    }

    void bug(String what, Throwable cause) {
        LOG.log(System.Logger.Level.ERROR, "mount " + mount + ": bug in " + what, cause);
        onBug.accept(cause);
    }

    void note(System.Logger.Level level, String text) {
        LOG.log(level, "mount " + mount + ": " + text);
    }

    static String describe(Request request) {
        var header = request.header();
        return request.getClass().getSimpleName() + " of inode " + header.node() + " by process " + header.pid();
    }
}
