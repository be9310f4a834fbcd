// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.Parsed;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.NamespaceView;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The network's configuration as the log has it, read once per version, and what it wishes for an inode. A version that
 * this pod's software cannot read (a newer pod wrote it) leaves the last good one in force. Thread-safe.
 */
final class NetworkSettings {
    private static final Logger LOG = Logger.getLogger(NetworkSettings.class.getName());

    private record Version(long number, NetworkConfig config) {}

    private final Supplier<NamespaceView> view;
    private volatile Version current = new Version(0, NetworkConfig.DEFAULT);

    NetworkSettings(Supplier<NamespaceView> view) {
        this.view = view;
    }

    NetworkConfig get() {
        return current.config();
    }

    /** Reads what is in force now. Called by the applying thread when it changed, and at the start. */
    void refresh() {
        var configuration = view.get().configuration();
        if (configuration.version() == current.number()) return;
        switch (NetworkConfig.parse("network.toml in the log", configuration.toml())) {
            case Parsed.Good<NetworkConfig>(var config) -> current = new Version(configuration.version(), config);
            case Parsed.Bad<NetworkConfig> bad -> {
                LOG.log(
                        Level.WARNING,
                        "version {0} of the network''s configuration cannot be read here: {1}",
                        new Object[] {configuration.version(), bad.report()});
                current = new Version(configuration.version(), current.config());
            }
        }
    }

    /** What the rules say of the inode's path; without rules its path is not looked for. */
    NetworkConfig.Wish wish(InodeId inode) {
        var config = get();
        if (config.rules().rules().isEmpty()) return config.wish("/");
        String path = view.get().path(inode);
        return config.wish(path == null ? "/" : path);
    }
}
