// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Names;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.ReformPlan;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Beginning a network anew from one survivor, when most of its voters are lost for good. */
@Command(
        name = "reform",
        description = {
            "Go on without pods that are lost for good, when so many are that nothing can be decided any more.",
            "On the survivor that has seen most. It says what it cannot know, and asks. Changes that only lost pods had are"
                    + " not in the network that goes on; what the lost pods have stays on their disks.",
        },
        footer = {"", "Example: wormhole reform --without nas-2,nas-3"})
final class ReformCommand extends Action {
    private static final Duration PATIENCE = Duration.ofMinutes(3);
    private static final long POLL_MILLIS = 100;

    @Mixin
    Target.Options options = new Target.Options();

    @Option(
            names = "--without",
            paramLabel = "POD",
            split = ",",
            description = "A pod that is no member any more: thrown out as by revoke. May be said several times.")
    List<String> without = List.of();

    @Option(names = "--yes", description = "Do not ask.")
    boolean yes;

    ReformCommand(Host host) {
        super(host);
    }

    @Override
    int run() throws IOException, ControlException, InterruptedException {
        for (var name : without) MembershipCommands.checked("--without", name, Names::check);
        var target = Target.find(host, options, null);
        var plan = Json.to(ReformPlan.class, target.client().call(Commands.REFORM_PLAN));
        if (plan.refusal() != null)
            throw new CliException(ExitCode.REFUSED, plan.refusal(), plan.hint() == null ? "" : plan.hint());
        explain(plan);
        if (!yes && !host.agrees("Begin generation " + (plan.generation() + 1) + " from this pod?"))
            throw new CliException(
                    ExitCode.REFUSED, "nothing was done", "say --yes to re-form the network without being asked");
        try (var console = new Console(host)) {
            target.client().call(Commands.REFORM, new ReformPlan.Order(without), console);
            await(target, plan.generation(), console);
        }
        say("the network goes on: generation " + (plan.generation() + 1));
        if (!plan.authority())
            say("it has a new authority; to take the others in again, with what they have: wormhole invite, and on each"
                    + " wormhole join ADDRESS --token TOKEN --store DIR");
        return ExitCode.OK;
    }

    private void explain(ReformPlan plan) {
        var self = plan.members().getFirst();
        say("This begins generation " + (plan.generation() + 1) + " of the network from what " + self.name()
                + " has, which is the log up to entry " + plan.lastEntry() + ".");
        say("What cannot be known here:");
        say(
                "  - which changes after that entry were acknowledged by pods that are lost now: they are not in the network"
                        + " that goes on");
        var silent = plan.members().stream()
                .filter(member -> !member.answers())
                .map(ReformPlan.Member::name)
                .toList();
        say("  - whether pods that do not answer still run, and are used, without this one: "
                + (silent.isEmpty() ? "all answer" : String.join(", ", silent)));
        for (var member : plan.members()) say("  " + words(plan, member));
        say("Whoever of the old generation returns serves no more once it hears of the new one, and keeps every byte.");
        if (!plan.authority())
            say(
                    "! This pod has no key of the network's authority: it makes a new one, and every other pod must be invited"
                            + " again. It keeps what its store has.");
    }

    private String words(ReformPlan plan, ReformPlan.Member member) {
        var words = new ArrayList<String>();
        words.add(member.voter() ? "votes" : "has no vote");
        if (member.administrator()) words.add("administrator's");
        if (member != plan.members().getFirst()) {
            words.add(member.answers() ? "answers" : "does not answer");
            if (!member.answers())
                words.add(
                        member.lastHeardMillis() < 0
                                ? "when it was last heard is not known"
                                : "last heard " + member.lastHeardMillis() / 1000 + " s ago");
        }
        var fate = member == plan.members().getFirst()
                ? "goes on"
                : without.contains(member.name())
                        ? "is thrown out"
                        : plan.authority()
                                ? "stays, and goes over by itself when it is reached"
                                : "must be invited again";
        return member.name() + " " + fate + " (" + String.join(", ", words) + ")";
    }

    /** The daemon ends one generation and begins the next in the same process. */
    private void await(Target target, long generation, Console console) throws InterruptedException {
        var end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                console.progress("re-forming", 0, 0);
                var status = Json.to(NetworkStatus.class, target.client().call(Commands.STATUS));
                if (status.generation() > generation) {
                    target.client().call(Commands.READY, new Object(), console);
                    return;
                }
            } catch (IOException | ControlException notYet) {
                if (failed(target.store()))
                    throw new CliException(
                            ExitCode.FAILED,
                            "the pod did not start again: " + read(StoreFiles.startError(target.store())),
                            "its store is whole; wormhole up starts it");
            }
            if (System.nanoTime() - end > 0)
                throw new CliException(
                        ExitCode.FAILED,
                        "not ready after " + PATIENCE.toSeconds() + " s",
                        "its log: " + StoreFiles.log(target.store()));
            Thread.sleep(POLL_MILLIS);
        }
    }

    private static boolean failed(Path store) {
        try {
            return StoreFiles.runningDaemon(store).isEmpty();
        } catch (IOException unknown) {
            return false;
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file).strip();
        } catch (IOException none) {
            return "see its log";
        }
    }
}
