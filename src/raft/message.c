/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership of messages. */
#include "base/mem.h"
#include "raft/types.h"

void raft_message_deinit(struct raft_message *message)
{
    if (message->type == RAFT_APPEND) {
        for (uint32_t i = 0; i < message->append.entries_count; i++) {
            blob_unref(message->append.entries[i].payload);
        }
        mem_free(message->append.entries);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        blob_unref(message->install_snapshot.chunk);
    }
    *message = (struct raft_message){0};
}
