/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in and cannot be handed on yet: headers of calls that run, messages of which a part is
 * missing, what a paused call does not take. Callers decide how much that is, and whoever has any
 * certificate can begin requests, so it has bounds as replies do: for a class and an identity, with
 * as much once more for what is small. And what was begun has to be sent to its end. */
#include "rpc/server_internal.h"

enum {
    OF_CLASS = 2, /* one identity has one part of so many of its class's bound */
    STALLS = 3,   /* within so many times stall_ms a request or message is whole */
    ENDED_A_TICK = 64
};

static void count(struct server_call *call, size_t bytes);

bool server_intake_count(struct server_call *call)
{
    const struct server_connection *connection = call->connection;
    const struct server *server = connection->server;
    size_t bytes = call->deframer.partial.len + call->held.len + call->paused.len;
    bool is_small = bytes < SERVER_SMALL_BYTES;
    count(call, bytes + (call->stream == NULL ? 0 : h2_headers_bytes(call->stream)));
    const struct server_identity *identity = connection->identity;
    if (identity == NULL) {
        return true; /* the server was freed: all of it ends */
    }
    size_t most = server_share_bytes(server->options.intake_bytes_max, identity->class);
    most = is_small ? 2 * most : most;
    size_t of_class = server->class_intake[identity->class];
    return (of_class <= most && identity->intake <= most / OF_CLASS) || of_class == call->intake;
}

void server_intake_leave(struct server_call *call)
{
    count(call, 0);
}

void server_intake_end_stalled(struct server_connection *connection, uint64_t now_ms)
{
    uint64_t most_ms = (uint64_t)STALLS * connection->server->options.stall_ms;
    uint32_t ended = 0;
    for (struct server_call *call = connection->calls; call != NULL && ended < ENDED_A_TICK;) {
        if (call->began_ms == 0 || now_ms < call->began_ms + most_ms || call->is_paused) {
            call = call->next;
            continue;
        }
        server_share_refused(connection, NET_REFUSED_UNFINISHED, call->method->path);
        server_call_abort(call, GRPC_DEADLINE_EXCEEDED, "the rest of the request does not come");
        ended++;
        call = connection->calls; /* it is gone, and its owner or what was sent may end others */
    }
}

static void count(struct server_call *call, size_t bytes)
{
    struct server_connection *connection = call->connection;
    struct server_identity *identity = connection->identity;
    if (identity != NULL) {
        size_t *class_intake = &connection->server->class_intake[identity->class];
        *class_intake = *class_intake - call->intake + bytes;
        identity->intake = identity->intake - call->intake + bytes;
    }
    call->intake = bytes;
}
