// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.util.List;

/**
 * One operation of a program, as it saw it: what it asked, when, and what it was answered.
 *
 * @param client one program that does one thing after the other
 * @param pod through whose folder
 * @param object what it belongs to: operations on two objects say nothing of each other. {@code names:} and {@code once:} are
 *     directory entries, {@code file:} the content of one file, {@code log:} a file that is appended to
 * @param arguments the names and values that its kind has
 * @param invoked by {@link System#nanoTime}, which all processes of a Linux machine share
 * @param answer what a look found, the items of a {@link Kind#READ} with a space between two, or the name of the error
 */
record Operation(
        int client,
        int pod,
        String object,
        Kind kind,
        List<String> arguments,
        long invoked,
        long responded,
        Outcome outcome,
        String answer) {

    enum Kind {
        /** What a name, or a file, has: NAME. Refused with ENOENT if the name is not there. */
        LOOK,
        /** Gives a name that is not there a value: NAME VALUE. */
        CREATE,
        /** Gives a name, or a file, a value, whatever it had: NAME VALUE. */
        PUT,
        /** Takes a name away: NAME. */
        REMOVE,
        /** Moves what a name has to another one, whatever that had: FROM TO. */
        MOVE,
        /** The same to a name that is not there. */
        MOVE_NEW,
        /** Two names exchange what they have. */
        EXCHANGE,
        /** Adds an item at a log's end: ITEM. */
        APPEND,
        /** All items of a log. */
        READ
    }

    enum Outcome {
        /** Done, as it was answered. */
        DONE,
        /** Refused, and so not done: the answer is why. */
        REFUSED,
        /** An error that leaves open whether it was done, or will be. */
        UNKNOWN
    }

    boolean isLook() {
        return kind == Kind.LOOK || kind == Kind.READ;
    }

    /** Whether it was over before another one began. */
    boolean before(Operation other) {
        return responded < other.invoked;
    }

    String line() {
        return String.join(
                "\t",
                Integer.toString(client),
                Integer.toString(pod),
                object,
                kind.name(),
                String.join(",", arguments),
                Long.toString(invoked),
                Long.toString(responded),
                outcome.name(),
                answer);
    }

    static Operation parse(String line) {
        String[] parts = line.split("\t", -1);
        return new Operation(
                Integer.parseInt(parts[0]),
                Integer.parseInt(parts[1]),
                parts[2],
                Kind.valueOf(parts[3]),
                List.of(parts[4].split(",")),
                Long.parseLong(parts[5]),
                Long.parseLong(parts[6]),
                Outcome.valueOf(parts[7]),
                parts[8]);
    }

    @Override
    public String toString() {
        return "client %d on pod %d, %.3f to %.3f ms: %s %s %s: %s %s"
                .formatted(client, pod, invoked / 1e6, responded / 1e6, kind, object, arguments, outcome, answer);
    }
}
