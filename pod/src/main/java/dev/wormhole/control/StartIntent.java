// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.JsonParseException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What a pod should do at its first start, once: {@code start.json} in its store. The daemon removes it when that is done
 * and durable; until then every start tries again.
 */
public sealed interface StartIntent {
    String FILE = "start.json";

    /** @param toml the network's configuration */
    record Create(String network, String toml) implements StartIntent {}

    /**
     * @param address HOST:PORT of any pod of the network
     * @param token the invitation, secret; empty for an open network
     */
    record Join(String address, String token) implements StartIntent {
        @Override
        public String toString() {
            return "join " + address;
        }
    }

    /**
     * Begins the next generation of a network whose majority is lost for good, from this store.
     *
     * @param without names of the pods that are no members in it
     */
    record Reform(List<String> without) implements StartIntent {
        public Reform {
            without = List.copyOf(without);
        }
    }

    /**
     * Takes this store of an earlier generation along into the present one, as a new life of it.
     *
     * @param address, token as of {@link Join}
     */
    record Rejoin(String address, String token) implements StartIntent {
        @Override
        public String toString() {
            return "rejoin " + address;
        }
    }

    /** Writes it to a store, synced, in place of any other. */
    default void write(Path store) throws IOException {
        var form = switch (this) {
            case Create(var network, var toml) -> new Form("create", network, toml, "", "", List.of());
            case Join(var address, var token) -> new Form("join", "", "", address, token, List.of());
            case Reform(var without) -> new Form("reform", "", "", "", "", without);
            case Rejoin(var address, var token) -> new Form("rejoin", "", "", address, token, List.of());
        };
        var temporary = store.resolve(FILE + ".new");
        Files.deleteIfExists(temporary);
        // An invitation is for its owner alone.
        try (var channel = FileChannel.open(
                temporary,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
            var bytes = ByteBuffer.wrap(Json.pretty(form).getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) channel.write(bytes);
            channel.force(true);
        }
        Files.move(temporary, store.resolve(FILE), StandardCopyOption.ATOMIC_MOVE);
    }

    /** Empty where there is none. @throws IOException if it cannot be read or makes no sense */
    static Optional<StartIntent> read(Path store) throws IOException {
        String text;
        try {
            text = Files.readString(store.resolve(FILE));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        try {
            var json = Json.parse(text);
            return switch (Json.text(json, "action")) {
                case "create" -> Optional.of(new Create(Json.text(json, "network"), Json.text(json, "toml")));
                case "join" -> Optional.of(new Join(Json.text(json, "address"), Json.text(json, "token")));
                case "rejoin" -> Optional.of(new Rejoin(Json.text(json, "address"), Json.text(json, "token")));
                case "reform" ->
                    Optional.of(new Reform(Json.to(Form.class, json).without()));
                default -> throw new IOException(store.resolve(FILE) + " names no known action");
            };
        } catch (JsonParseException e) {
            throw new IOException(store.resolve(FILE) + " is no JSON: " + e.getMessage(), e);
        }
    }

    static void remove(Path store) throws IOException {
        Files.deleteIfExists(store.resolve(FILE));
    }

    /** The bytes of the file. */
    record Form(String action, String network, String toml, String address, String token, List<String> without) {
        public Form {
            without = Commands.list(without);
        }
    }
}
