// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.ControlHandler;
import dev.wormhole.control.Json;
import dev.wormhole.control.ReformPlan;
import dev.wormhole.control.StartIntent;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.Reforming;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.Reply;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** Re-forming a network, as a person asks for it on a pod that has lost its majority for good. */
final class ReformCommands {
    private static final byte[] NOTHING = Messages.writer()
            .putList(List.<dev.wormhole.model.SliceId>of(), Messages.Writer::putSlice)
            .toBytes();

    private record Empty() {}

    private final Pod pod;

    ReformCommands(Pod pod) {
        this.pod = pod;
    }

    void addTo(Map<String, ControlHandler> handlers) {
        handlers.put(Commands.REFORM_PLAN, (_, _) -> Json.of(plan(parts())));
        handlers.put(Commands.REFORM, (arguments, _) -> {
            reform(Json.to(ReformPlan.Order.class, arguments).without());
            return Json.of(new Empty());
        });
    }

    private Pod.Parts parts() throws ControlException {
        var parts = pod.parts();
        if (parts == null) throw new ControlException(ControlException.NOT_READY, pod.doing(), "");
        return parts;
    }

    private static ReformPlan plan(Pod.Parts parts) throws InterruptedException {
        var log = parts.log();
        var self = parts.header().incarnation();
        var raft = log.raft().status();
        var voters = log.raft().voters();
        var administrators = log.view().administrators();
        var answers = ask(parts, self);
        long last = Math.max(raft.flushed(), log.applied());
        var members = new ArrayList<ReformPlan.Member>();
        var alive = new ArrayList<String>();
        int votes = 0;
        String ahead = null;
        for (PodRecord record : log.view().pods()) {
            var who = record.incarnation();
            var reply = answers.get(who);
            var here = who.equals(self);
            if (voters.contains(who) && (here || reply != null)) {
                votes++;
                alive.add(record.settings().name());
            }
            if (reply != null && reply.appliedIndex() > last)
                ahead = record.settings().name();
            var seen = parts.cluster().seen(who);
            var member = new ReformPlan.Member(
                    record.settings().name(),
                    voters.contains(who),
                    administrators.contains(who),
                    here || reply != null,
                    here ? 0 : seen == null ? -1 : parts.cluster().silentMillis(seen));
            if (here) members.addFirst(member);
            else members.add(member);
        }
        String refusal = null;
        String hint = null;
        var leader = log.leader();
        if (leader.isPresent() && !log.disconnected()) {
            refusal =
                    "the network has a leader, " + parts.cluster().name(leader.get()) + ": nothing is to be re-formed";
            hint = "a machine that is gone for good: wormhole revoke NAME, or wormhole invite --replace NAME";
        } else if (votes * 2 > voters.size()) {
            refusal = "a majority of the voters answers (" + String.join(", ", alive) + "): the network is not lost";
            hint = "wait for them to elect a leader; their logs say what keeps them from it";
        } else if (ahead != null) {
            refusal = ahead + " answers and has more of the network's log than this pod";
            hint = "re-form the network on that one: wormhole reform there";
        }
        return new ReformPlan(
                Reforming.number(parts.header().generation()), last, isAuthority(parts), refusal, hint, members);
    }

    private static boolean isAuthority(Pod.Parts parts) {
        try {
            return parts.secure().files().authority().isPresent();
        } catch (IOException unusable) {
            return false;
        }
    }

    /** What each of the others says just now; those that say nothing are not in it. */
    private static Map<Incarnation, Reply> ask(Pod.Parts parts, Incarnation self) throws InterruptedException {
        var asked = new LinkedHashMap<Incarnation, CompletableFuture<Reply>>();
        for (PodRecord record : parts.log().view().pods())
            if (!record.incarnation().equals(self))
                asked.put(
                        record.incarnation(),
                        parts.peers().call(record.incarnation(), Calls.HOLDS, NOTHING, Calls.HOLDS_DEADLINE));
        var answered = new LinkedHashMap<Incarnation, Reply>();
        for (var each : asked.entrySet()) {
            try {
                answered.put(each.getKey(), each.getValue().get());
            } catch (ExecutionException silent) {
                // it does not answer, which is what was asked
            }
        }
        return answered;
    }

    private void reform(List<String> without) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        var plan = plan(parts);
        if (plan.refusal() != null)
            throw new ControlException(ControlException.REFUSED, plan.refusal(), String.valueOf(plan.hint()));
        var names = new HashSet<String>();
        plan.members().forEach(member -> names.add(member.name()));
        for (var name : without)
            if (!names.contains(name))
                throw new ControlException(
                        ControlException.NOT_FOUND, "there is no pod named " + name, "see wormhole pods");
        if (without.contains(plan.members().getFirst().name()))
            throw new ControlException(
                    ControlException.REFUSED, "a pod does not re-form its network without itself", "");
        Path store = pod.config().pod().store();
        new StartIntent.Reform(without).write(store);
        pod.restart("wormhole reform");
    }
}
