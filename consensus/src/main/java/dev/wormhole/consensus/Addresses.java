// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.ratis.thirdparty.io.grpc.EquivalentAddressGroup;
import org.apache.ratis.thirdparty.io.grpc.NameResolver;
import org.apache.ratis.thirdparty.io.grpc.NameResolverProvider;
import org.apache.ratis.thirdparty.io.grpc.NameResolverRegistry;
import org.apache.ratis.thirdparty.io.grpc.StatusOr;
import org.jspecify.annotations.Nullable;

/**
 * Where the members are now. Ratis binds a peer id to the first address it hears, for ever; so the configuration gives
 * every peer a name that gRPC resolves here, {@code wormhole://10.0.0.1:7001/<group>/p7}: by what was learnt last, or else
 * by the address inside the name. What is learnt reaches open channels at once. Thread-safe.
 */
final class Addresses {
    private static final String SCHEME = "wormhole";

    private record Key(UUID group, Incarnation incarnation) {}

    /** Of the whole process, because gRPC's registry is; a group's member has one address whoever asks. */
    private static final Map<Key, InetSocketAddress> LEARNT = new ConcurrentHashMap<>();

    private static final Map<Key, Set<Resolver>> RESOLVERS = new ConcurrentHashMap<>();

    static {
        NameResolverRegistry.getDefaultRegistry().register(new Provider());
    }

    private final UUID group;

    Addresses(UUID group) {
        this.group = group;
    }

    String name(Member member) {
        return SCHEME + "://" + hostAndPort(member.address()) + "/" + group + "/" + member.incarnation();
    }

    /** The member that a name was made for, at its latest address. */
    Member member(Incarnation incarnation, String name) {
        InetSocketAddress learnt = LEARNT.get(new Key(group, incarnation));
        return new Member(incarnation, learnt != null ? learnt : inside(URI.create(name)));
    }

    /** The member at the address inside its name. */
    static Member named(Incarnation incarnation, String name) {
        return new Member(incarnation, inside(URI.create(name)));
    }

    /** Who was somewhere else before. */
    List<Incarnation> learn(Collection<Member> members) {
        List<Incarnation> moved = new ArrayList<>();
        for (Member member : members) {
            Key key = new Key(group, member.incarnation());
            InetSocketAddress before = LEARNT.put(key, member.address());
            if (member.address().equals(before)) continue;
            if (before != null) moved.add(member.incarnation());
            for (Resolver resolver : RESOLVERS.getOrDefault(key, Set.of())) resolver.refresh();
        }
        return moved;
    }

    static String hostAndPort(InetSocketAddress address) {
        String host = address.getAddress() == null
                ? address.getHostString()
                : address.getAddress().getHostAddress();
        int zone = host.indexOf('%');
        if (zone >= 0) host = host.substring(0, zone);
        return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + address.getPort();
    }

    private static InetSocketAddress inside(URI name) {
        String host = name.getHost();
        if (host.startsWith("[")) host = host.substring(1, host.length() - 1);
        return new InetSocketAddress(host, name.getPort());
    }

    private static final class Provider extends NameResolverProvider {
        @Override
        protected boolean isAvailable() {
            return true;
        }

        @Override
        protected int priority() {
            return 5;
        }

        @Override
        public String getDefaultScheme() {
            return SCHEME;
        }

        @Override
        public Collection<Class<? extends SocketAddress>> getProducedSocketAddressTypes() {
            return Collections.singleton(InetSocketAddress.class);
        }

        @Override
        public @Nullable NameResolver newNameResolver(URI name, NameResolver.Args args) {
            if (!SCHEME.equals(name.getScheme())) return null;
            String[] path = name.getPath().split("/", -1); // "", group, incarnation
            Key key = new Key(UUID.fromString(path[1]), new Incarnation(Integer.parseInt(path[2].substring(1))));
            return new Resolver(key, name);
        }
    }

    private static final class Resolver extends NameResolver {
        private final Key key;
        private final URI name;
        private volatile @Nullable Listener2 listener;

        Resolver(Key key, URI name) {
            this.key = key;
            this.name = name;
        }

        @Override
        public String getServiceAuthority() {
            return key.incarnation().toString();
        }

        @Override
        public void start(Listener2 listener) {
            this.listener = listener;
            RESOLVERS.computeIfAbsent(key, _ -> ConcurrentHashMap.newKeySet()).add(this);
            refresh();
        }

        @Override
        public void refresh() {
            Listener2 told = listener;
            if (told == null) return;
            InetSocketAddress learnt = LEARNT.get(key);
            InetSocketAddress address = learnt != null ? learnt : inside(name);
            if (address.isUnresolved()) address = new InetSocketAddress(address.getHostString(), address.getPort());
            told.onResult(ResolutionResult.newBuilder()
                    .setAddressesOrError(StatusOr.fromValue(List.of(new EquivalentAddressGroup(address))))
                    .build());
        }

        @Override
        public void shutdown() {
            listener = null;
            Set<Resolver> of = RESOLVERS.get(key);
            if (of != null) of.remove(this);
        }
    }
}
