/* SPDX-License-Identifier: Apache-2.0 */
/* What members say to each other <-> proto/indaba/internal/peer.proto. */
#ifndef INDABA_WIRE_WIRE_PEER_H
#define INDABA_WIRE_WIRE_PEER_H

#include "base/buf.h"
#include "model/records.h"
#include "raft/types.h"

enum {
    WIRE_PEER_PROTOCOL_VERSION = 1,
    WIRE_REFUSAL_SIZE = 256
};

enum wire_lane {
    WIRE_LANE_HEARTBEAT = 1,
    WIRE_LANE_BULK = 2,
    WIRE_LANE_SNAPSHOT = 3, /* chunks of snapshots, so that nothing else waits behind them */
};

struct wire_handshake {
    uint32_t protocol_version;
    struct cluster_id cluster;
    struct member_id member;
    uint64_t process_incarnation;
    enum wire_lane lane;
    char refusal[WIRE_REFUSAL_SIZE]; /* "" unless refused */
    char name[NAME_SIZE];            /* of the member that speaks, and where it is reached: */
    char peer_address[ADDRESS_SIZE]; /* "" from a program that does not say it */
    uint32_t command_level;          /* see state/command.h; 0 likewise */
    uint32_t cluster_epoch_plus_1;   /* 0 of one that has no state yet */
    bool answers_pings;
    bool names_members;    /* answers what it is asked about others */
    bool blank;            /* nothing was ever written into the speaker's log */
    bool refused_for_good; /* with a refusal: no later try can succeed */
};

void wire_handshake_encode(const struct wire_handshake *handshake, struct buf *out);
MUST_CHECK enum error wire_handshake_decode(struct slice bytes,
                                            struct wire_handshake *handshake_out);

void wire_raft_message_encode(const struct raft_message *message, struct buf *out);
/* On success the caller owns the message: raft_message_deinit. ERR_PROTOCOL, ERR_LIMIT. */
MUST_CHECK enum error wire_raft_message_decode(struct slice bytes,
                                               struct raft_message *message_out);

#endif
