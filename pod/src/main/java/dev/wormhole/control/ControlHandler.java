// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.JsonObject;
import java.io.IOException;

/** Carries out one control command. Called in a virtual thread of its own, several at once. */
@FunctionalInterface
public interface ControlHandler {
    /**
     * @param progress may be told as often as one likes; nothing of it is needed for a short command
     * @return the result, an empty object where there is nothing to say
     * @throws ControlException the answer is no
     * @throws IOException told as {@link ControlException#FAILED}
     */
    JsonObject handle(JsonObject arguments, Progress progress)
            throws ControlException, IOException, InterruptedException;

    /** What the person sees while the command runs. */
    interface Progress {
        /**
         * Never blocks for longer than the server's write deadline and never fails: a caller that is gone is noticed
         * with {@link #watched}.
         *
         * @param text what is being done, a few words
         * @param done of {@code total}, in whatever unit the text names; 0 and 0 where there is no measure
         */
        void report(String text, long done, long total);

        /** False once the caller has gone. The command may go on all the same. */
        boolean watched();
    }
}
