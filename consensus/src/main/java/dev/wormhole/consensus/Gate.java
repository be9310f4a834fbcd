// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.security.cert.X509Certificate;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import org.apache.ratis.proto.RaftProtos.AppendEntriesRequestProto;
import org.apache.ratis.proto.RaftProtos.InstallSnapshotRequestProto;
import org.apache.ratis.proto.RaftProtos.RaftRpcRequestProto;
import org.apache.ratis.proto.RaftProtos.ReadIndexRequestProto;
import org.apache.ratis.proto.RaftProtos.RequestVoteRequestProto;
import org.apache.ratis.proto.RaftProtos.RoleInfoProto;
import org.apache.ratis.proto.RaftProtos.StartLeaderElectionRequestProto;
import org.apache.ratis.protocol.RaftPeerId;
import org.apache.ratis.server.DivisionInfo;
import org.apache.ratis.server.RaftServer;
import org.apache.ratis.thirdparty.com.google.protobuf.ByteString;
import org.apache.ratis.thirdparty.io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import org.apache.ratis.thirdparty.io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import org.apache.ratis.thirdparty.io.grpc.Grpc;
import org.apache.ratis.thirdparty.io.grpc.Metadata;
import org.apache.ratis.thirdparty.io.grpc.ServerCall;
import org.apache.ratis.thirdparty.io.grpc.ServerCallHandler;
import org.apache.ratis.thirdparty.io.grpc.ServerInterceptor;
import org.apache.ratis.thirdparty.io.grpc.Status;
import org.jspecify.annotations.Nullable;

/**
 * Stands before Ratis' gRPC services and keeps four promises that Ratis alone does not:
 * <ul>
 *   <li>Only the protocol between members is served; Ratis' client and administration services are refused.
 *   <li>With TLS, a pod speaks only as an incarnation its certificate allows, and only while that is admitted.
 *   <li>A vote is not given while the leader may still answer reads by its lease. Ratis asks for a living leader only in the
 *       pre-vote; a candidate that was stopped between pre-vote and vote would win while the old leader's lease runs.
 *   <li>What a pod says it has installed is synced before it says so.
 * </ul>
 */
final class Gate implements ServerInterceptor {
    private static final String MEMBERS = "ratis.grpc.RaftServerProtocolService";

    private final Settings settings;
    private final long leaseMillis;
    private final Supplier<RaftServer.@Nullable Division> division;
    private final Runnable beforeAnswer;

    Gate(
            Settings settings,
            double leaseRatio,
            Supplier<RaftServer.@Nullable Division> division,
            Runnable beforeAnswer) {
        this.settings = settings;
        this.leaseMillis = (long) Math.ceil(settings.timing().electionMin().toMillis() * leaseRatio);
        this.division = division;
        this.beforeAnswer = beforeAnswer;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        if (!MEMBERS.equals(call.getMethodDescriptor().getServiceName())) {
            call.close(Status.PERMISSION_DENIED.withDescription("not served"), new Metadata());
            return new ServerCall.Listener<>() {};
        }
        ServerCall<Q, A> answering = new SimpleForwardingServerCall<>(call) {
            @Override
            public void sendMessage(A message) {
                beforeAnswer.run();
                super.sendMessage(message);
            }
        };
        return new SimpleForwardingServerCallListener<>(next.startCall(answering, headers)) {
            private @Nullable ByteString speaker;
            private @Nullable Incarnation speaking;
            private boolean refused;

            @Override
            public void onMessage(Q message) {
                if (refused) return;
                String reason = objection(message);
                if (reason == null) {
                    super.onMessage(message);
                } else {
                    refused = true;
                    call.close(Status.UNAVAILABLE.withDescription(reason), new Metadata());
                }
            }

            @Override
            public void onHalfClose() {
                if (!refused) super.onHalfClose();
            }

            private @Nullable String objection(Q message) {
                if (settings.tls().isPresent()) {
                    RaftRpcRequestProto header = header(message);
                    if (header == null) return "unknown message";
                    ByteString claimed = header.getRequestorId();
                    if (!claimed.equals(speaker)) {
                        speaking = maySpeakAs(call, settings.tls().get(), claimed);
                        if (speaking == null) return "certificate does not allow sender";
                        speaker = claimed;
                    }
                    if (speaking == null || !settings.tls().get().admitted().test(speaking))
                        return "sender is no member any more";
                }
                if (message instanceof RequestVoteRequestProto vote && !vote.getPreVote()) {
                    RaftPeerId candidate =
                            RaftPeerId.valueOf(vote.getServerRequest().getRequestorId());
                    if (!leaseOver(candidate)) return "the leader is alive";
                }
                return null;
            }
        };
    }

    private static @Nullable RaftRpcRequestProto header(@Nullable Object message) {
        return switch (message) {
            case AppendEntriesRequestProto m -> m.getServerRequest();
            case RequestVoteRequestProto m -> m.getServerRequest();
            case InstallSnapshotRequestProto m -> m.getServerRequest();
            case StartLeaderElectionRequestProto m -> m.getServerRequest();
            case ReadIndexRequestProto m -> m.getServerRequest();
            case null, default -> null;
        };
    }

    /** The incarnation that is claimed, null if it may not. */
    private static @Nullable Incarnation maySpeakAs(ServerCall<?, ?> call, Settings.Tls tls, ByteString claimed) {
        SSLSession session = call.getAttributes().get(Grpc.TRANSPORT_ATTR_SSL_SESSION);
        Optional<Incarnation> incarnation = RaftLog.incarnation(RaftPeerId.valueOf(claimed));
        if (session == null || incarnation.isEmpty()) return null;
        try {
            return session.getPeerCertificates()[0] instanceof X509Certificate certificate
                            && tls.speaksFor().test(certificate, incarnation.get())
                    ? incarnation.get()
                    : null;
        } catch (SSLPeerUnverifiedException e) {
            return null;
        }
    }

    /** Waits until no leader can hold a lease that this pod helped to renew; false if the leader goes on renewing. */
    private boolean leaseOver(RaftPeerId candidate) {
        long deadline = System.nanoTime() + leaseMillis * 1_000_000 + 50_000_000;
        while (true) {
            RaftServer.Division here = division.get();
            if (here == null) return true; // Ratis refuses by itself
            DivisionInfo info = here.getInfo();
            RaftPeerId leader = info.getLeaderId();
            // The leader itself gives up its lease with its vote.
            if (leader == null || leader.equals(candidate) || info.isLeader()) return true;
            RoleInfoProto role = info.getRoleInfoProto();
            if (!role.hasFollowerInfo()) return true;
            long silentMillis = role.getFollowerInfo().getLeaderInfo().getLastRpcElapsedTimeMs();
            long leftMillis = leaseMillis - silentMillis;
            if (leftMillis <= 0) return true;
            if (System.nanoTime() + leftMillis * 1_000_000 > deadline) return false;
            LockSupport.parkNanos(leftMillis * 1_000_000);
        }
    }
}
