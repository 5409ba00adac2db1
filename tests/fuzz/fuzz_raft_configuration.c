/* SPDX-License-Identifier: Apache-2.0 */
/* The payload of a configuration entry: refused, or what is encoded from its meaning has the same
 * meaning, and no more bytes. */
#include "base/check.h"
#include "raft/raft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_configuration configuration;
    if (raft_configuration_decode(slice_of(data, size), &configuration) != ERR_OK) {
        return 0;
    }
    CHECK(configuration.count <= RAFT_SERVERS_MAX);
    for (uint32_t i = 1; i < configuration.count; i++) {
        CHECK(!member_id_equal(configuration.servers[i - 1].id, configuration.servers[i].id));
    }
    struct raft_configuration again;
    struct buf bytes = {0};
    struct buf bytes_again = {0};
    raft_configuration_encode(&configuration, &bytes);
    CHECK(bytes.len <= size);
    CHECK(raft_configuration_decode(buf_view(&bytes), &again) == ERR_OK);
    raft_configuration_encode(&again, &bytes_again);
    CHECK(slice_equal(buf_view(&bytes), buf_view(&bytes_again)));
    buf_deinit(&bytes);
    buf_deinit(&bytes_again);
    return 0;
}
