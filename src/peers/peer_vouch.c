/* SPDX-License-Identifier: Apache-2.0 */
/* What a person typed on one member's machine is told to the leader, who puts it on the ledger. */
#include "peers/peers_internal.h"

#include "base/check.h"

#include <stdio.h>

bool peers_tell_vouched(struct peers *peers,
                        struct member_id to,
                        const struct command_member_vouched *vouched)
{
    const struct peer *peer = peers_find(peers, to);
    const struct peer_link *link = peer == NULL ? NULL : &peer->links[WIRE_LANE_HEARTBEAT - 1];
    if (link == NULL || !link->open || !link->names_members) {
        return false;
    }
    buf_clear(&peers->scratch);
    buf_put_u64(&peers->scratch, vouched->id.hi);
    buf_put_u64(&peers->scratch, vouched->id.lo);
    buf_put_string(&peers->scratch, vouched->name);
    buf_put_string(&peers->scratch, vouched->who);
    buf_put_string(&peers->scratch, vouched->reason);
    buf_put_u64(&peers->scratch, vouched->said_wall_ms);
    return peers_write(peers, link->conn, PEER_FRAME_VOUCHED, &peers->scratch) == ERR_OK;
}

enum error peer_vouch_take(struct peer_inbound *inbound, struct slice payload)
{
    const struct peers_options *options = &inbound->peers->options;
    CHECK(inbound->peer != NULL);
    struct command_member_vouched vouched = {.by = inbound->peer->id};
    struct reader reader = reader_of(payload);
    vouched.id.hi = reader_u64(&reader);
    vouched.id.lo = reader_u64(&reader);
    reader_string(&reader, vouched.name, sizeof(vouched.name));
    reader_string(&reader, vouched.who, sizeof(vouched.who));
    reader_string(&reader, vouched.reason, sizeof(vouched.reason));
    vouched.said_wall_ms = reader_u64(&reader);
    TRY(reader_finish(&reader));
    if (inbound->peer->listed) {
        options->handlers.on_vouched(&vouched, options->ctx);
    }
    return ERR_OK;
}
