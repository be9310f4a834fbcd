// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class MemoryTableTest extends TableContract {
    @Override
    protected Table emptyTable() {
        return new MemoryTable();
    }

    @Test
    void aCopyGoesItsOwnWay() {
        var table = new MemoryTable();
        var batch = new Table.WriteBatch();
        batch.put(new byte[] {1}, new byte[] {2});
        table.write(batch);
        MemoryTable copy = table.copy();
        var more = new Table.WriteBatch();
        more.remove(new byte[] {1});
        table.write(more);
        assertThat(copy.get(new byte[] {1})).containsExactly(2);
        assertThat(table.get(new byte[] {1})).isNull();
        table.replaceWith(copy);
        assertThat(table.get(new byte[] {1})).containsExactly(2);
    }
}
