// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** Maps the range [fileOffset, fileOffset + length) of a file to the range of a slice that begins at sliceOffset. */
public record Extent(long fileOffset, long length, SliceId slice, long sliceOffset) {
    public Extent {
        if (fileOffset < 0 || length <= 0 || sliceOffset < 0 || fileOffset + length < 0 || sliceOffset + length < 0)
            throw new IllegalArgumentException("extent: " + fileOffset + "+" + length + " at " + sliceOffset);
    }

    /** The first byte of the file behind the extent. */
    public long fileEnd() {
        return fileOffset + length;
    }

    /**
     * The part of this extent within [from, to) of the file.
     *
     * @throws IllegalArgumentException if they do not overlap
     */
    public Extent within(long from, long to) {
        long start = Math.max(fileOffset, from);
        long end = Math.min(fileEnd(), to);
        return new Extent(start, end - start, slice, sliceOffset + (start - fileOffset));
    }
}
