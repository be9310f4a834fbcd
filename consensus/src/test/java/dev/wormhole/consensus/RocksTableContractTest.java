// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.namespace.Table;
import dev.wormhole.namespace.TableContract;
import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

class RocksTableContractTest extends TableContract {
    @TempDir
    Path directory;

    private @Nullable RocksTable table;

    @Override
    protected Table emptyTable() throws IOException {
        RocksTable opened = RocksTable.open(directory, new RocksTable.Memory(64 << 10, 1 << 20));
        table = opened;
        return opened;
    }

    @AfterEach
    void close() {
        if (table != null) table.close();
    }
}
