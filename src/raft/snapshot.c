/* SPDX-License-Identifier: Apache-2.0 */
/* Refuses, politely: the sender learns our term and that no byte was kept. */
#include "raft/snapshot.h"

#include "base/check.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/trace.h"

void snapshot_on_request(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->type == RAFT_INSTALL_SNAPSHOT);
    CHECK(request->term <= raft->term);
    trace_line(raft, "takes no snapshot from %s", trace_id(request->from).text);
    struct raft_message *message = outbox_add(raft, RAFT_INSTALL_SNAPSHOT_RESULT, request->from);
    message->install_snapshot_result =
        (struct raft_install_snapshot_result){.last_index = request->install_snapshot.last_index};
}

void snapshot_on_result(struct raft *raft, const struct raft_message *result)
{
    CHECK(result->type == RAFT_INSTALL_SNAPSHOT_RESULT);
    CHECK(result->term == raft->term);
    struct progress *peer = raft->role == RAFT_LEADER ? replicate_peer(raft, result->from) : NULL;
    if (peer != NULL) {
        peer->heard_ms = raft->now_ms;
    }
}
