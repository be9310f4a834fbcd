// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/** Numbers of this machine's users and groups, wherever it keeps them (passwd, LDAP: what its C library is told to ask). */
public final class Users {
    /** @param group the user's own */
    public record User(int uid, int gid) {}

    /** Behind two pointers, in struct passwd and in struct group alike. */
    private static final long NUMBER_OFFSET = 2 * ADDRESS.byteSize();

    private static final MethodHandle USER = bind("getpwnam");
    private static final MethodHandle GROUP = bind("getgrnam");

    private Users() {}

    private static MethodHandle bind(String name) {
        var linker = Linker.nativeLinker();
        return linker.downcallHandle(
                linker.defaultLookup()
                        .find(name)
                        .orElseThrow(() -> new IllegalStateException("this C library has no " + name)),
                FunctionDescriptor.of(ADDRESS, ADDRESS));
    }

    public static Optional<User> user(String name) {
        return find(USER, name, 2).map(ids -> new User(ids[0], ids[1]));
    }

    public static Optional<Integer> group(String name) {
        return find(GROUP, name, 1).map(ids -> ids[0]);
    }

    /** The C library answers in memory of its own, until it is asked again. */
    private static synchronized Optional<int[]> find(MethodHandle call, String name, int count) {
        if (name.indexOf('\0') >= 0) return Optional.empty();
        try (var arena = Arena.ofConfined()) {
            var found = (MemorySegment) call.invokeExact(arena.allocateFrom(name));
            if (found.equals(MemorySegment.NULL)) return Optional.empty();
            var numbers = found.reinterpret(NUMBER_OFFSET + 4L * count).asSlice(NUMBER_OFFSET);
            return Optional.of(numbers.toArray(JAVA_INT));
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("native call", e);
        }
    }
}
