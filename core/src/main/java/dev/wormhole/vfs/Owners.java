// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which user of this machine the numbers in the network stand for, where they are not the same: the network's file of owner n
 * is shown with an owner of this machine, and what is made here gets an owner of the network. Whoever has no counterpart is
 * {@link #NOBODY} on the other side. Root has none on either side unless that is declared. Immutable.
 */
public final class Owners {
    /** As Linux calls whoever it cannot name. */
    public static final int NOBODY = 65534;

    private static final int ROOT = 0;

    /** Users and groups alike. */
    private record Ids(
            Map<Integer, Integer> toNetwork,
            Map<Integer, Integer> toHere,
            @Nullable Integer all) {
        static Ids of(Map<Integer, Integer> toNetwork, boolean root) {
            var toHere = new HashMap<Integer, Integer>();
            toNetwork.forEach((here, network) -> {
                if (!root && (here == ROOT || network == ROOT))
                    throw new IllegalArgumentException("root is named, but not declared to be");
                if (toHere.put(network, here) != null)
                    throw new IllegalArgumentException("the network's " + network + " is named twice");
            });
            return new Ids(Map.copyOf(toNetwork), Map.copyOf(toHere), null);
        }

        int here(int network, boolean root) {
            var known = toHere.get(network);
            if (known != null) return known;
            return all != null && (root || network != ROOT) ? all : NOBODY;
        }

        boolean isKnown(int network, boolean root) {
            return network == NOBODY || toHere.containsKey(network) || all != null && (root || network != ROOT);
        }
    }

    private final Ids users;
    private final Ids groups;
    private final boolean root;

    private Owners(Ids users, Ids groups, boolean root) {
        this.users = users;
        this.groups = groups;
        this.root = root;
    }

    /**
     * Everything is one user's, for a machine at home.
     *
     * @param uid of that user on this machine; every file of the network is shown as his, but root's
     * @param networkUid whose the files are in the network that are made here
     * @param root root's files in the network are his, too
     * @throws IllegalArgumentException if a number of the network is root's, and {@code root} does not allow that
     */
    public static Owners one(int uid, int gid, int networkUid, int networkGid, boolean root) {
        if (!root && (networkUid == ROOT || networkGid == ROOT))
            throw new IllegalArgumentException("new files would be root's");
        return new Owners(
                new Ids(Map.of(uid, networkUid), Map.of(networkUid, uid), uid),
                new Ids(Map.of(gid, networkGid), Map.of(networkGid, gid), gid),
                root);
    }

    /**
     * Some users and groups have numbers of their own here.
     *
     * @param users the network's number of each user of this machine that has one
     * @param root those may name root
     * @throws IllegalArgumentException if one is named twice, or root without that
     */
    public static Owners named(Map<Integer, Integer> users, Map<Integer, Integer> groups, boolean root) {
        return new Owners(Ids.of(users, root), Ids.of(groups, root), root);
    }

    public int userHere(int network) {
        return users.here(network, root);
    }

    public int groupHere(int network) {
        return groups.here(network, root);
    }

    /** Whose in the network what this user makes is. */
    public int userThere(int here) {
        return users.toNetwork.getOrDefault(here, NOBODY);
    }

    public int groupThere(int here) {
        return groups.toNetwork.getOrDefault(here, NOBODY);
    }

    /** Whether somebody of this machine stands for the network's user: his files are somebody's here. */
    public boolean hasUser(int network) {
        return users.isKnown(network, root);
    }

    public boolean hasGroup(int network) {
        return groups.isKnown(network, root);
    }

    /** The user that a program gives a file to; null for nobody of the network. */
    public @Nullable Integer userGiven(int here) {
        return users.toNetwork.get(here);
    }

    public @Nullable Integer groupGiven(int here) {
        return groups.toNetwork.get(here);
    }

    // ---- in access control lists, where a number stands for one user alone; -1 for none

    int listedUserHere(int network) {
        return users.toHere.getOrDefault(network, -1);
    }

    int listedGroupHere(int network) {
        return groups.toHere.getOrDefault(network, -1);
    }

    int listedUserThere(int here) {
        return users.toNetwork.getOrDefault(here, -1);
    }

    int listedGroupThere(int here) {
        return groups.toNetwork.getOrDefault(here, -1);
    }
}
