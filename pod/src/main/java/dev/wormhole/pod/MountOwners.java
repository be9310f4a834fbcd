// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.PodConfig;
import dev.wormhole.mount.linux.Users;
import dev.wormhole.vfs.FileSystem;
import dev.wormhole.vfs.OwnedFileSystem;
import dev.wormhole.vfs.Owners;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** Whose the files of the folder are on this machine, as pod.toml's [mount] says. */
final class MountOwners {
    private MountOwners() {}

    /** @throws IOException if a user or group that the file names is none of this machine */
    static FileSystem over(FileSystem files, PodConfig.Mount mount) throws IOException {
        return switch (mount.owner()) {
            case SAME -> files;
            case ME -> new OwnedFileSystem(files, me(mount));
            case NAMES -> new OwnedFileSystem(files, names(mount));
        };
    }

    private static Owners me(PodConfig.Mount mount) throws IOException {
        var user = mount.user().isPresent()
                ? Users.user(mount.user().get())
                        .orElseThrow(() -> new IOException(
                                "key mount.user = \"" + mount.user().get() + "\": this machine has no such user"))
                : new Users.User(own("unix:uid"), own("unix:gid"));
        return Owners.one(
                user.uid(),
                user.gid(),
                mount.uid().orElse(notRoot(user.uid(), mount)),
                mount.gid().orElse(notRoot(user.gid(), mount)),
                mount.root());
    }

    private static int own(String attribute) throws IOException {
        return (Integer) Files.getAttribute(Path.of("/proc/self"), attribute);
    }

    private static int notRoot(int here, PodConfig.Mount mount) {
        return here == 0 && !mount.root() ? Owners.NOBODY : here;
    }

    private static Owners names(PodConfig.Mount mount) throws IOException {
        try {
            return Owners.named(
                    numbers("users", mount.users(), name -> Users.user(name).map(Users.User::uid)),
                    numbers("groups", mount.groups(), Users::group),
                    mount.root());
        } catch (IllegalArgumentException e) {
            throw new IOException("[mount] of pod.toml: " + e.getMessage(), e);
        }
    }

    private static Map<Integer, Integer> numbers(
            String table, Map<String, Integer> named, Function<String, Optional<Integer>> find) throws IOException {
        var numbers = new HashMap<Integer, Integer>();
        for (var one : named.entrySet()) {
            var here = find.apply(one.getKey())
                    .orElseThrow(() -> new IOException("key mount." + table + "." + one.getKey()
                            + ": this machine has nobody of that name; remove it, or make it"));
            if (numbers.put(here, one.getValue()) != null)
                throw new IOException("key mount." + table + "." + one.getKey() + ": number " + here
                        + " of this machine is named twice");
        }
        return numbers;
    }
}
