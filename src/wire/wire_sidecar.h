/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar session <-> proto/indaba/v1/sidecars.proto. Both ends use it: the coordinator decodes
 * what the sidecar encodes, and the other way round. */
#ifndef INDABA_WIRE_WIRE_SIDECAR_H
#define INDABA_WIRE_WIRE_SIDECAR_H

#include "base/buf.h"
#include "model/report.h"

enum wire_sidecar_kind {
    WIRE_HELLO = 1,
    WIRE_REPORT,
    WIRE_RENEWAL
};

struct wire_sidecar_message {
    enum wire_sidecar_kind kind;

    union {
        struct hello hello;
        struct report report;
        struct renewal renewal;
    };
};

enum wire_coordinator_kind {
    WIRE_WELCOME = 1,
    WIRE_GOAL,
    WIRE_RENEWAL_ANSWER
};

struct wire_welcome {
    struct cluster_id cluster;
    struct shard_id shard;
    struct instance_id instance;
    char leader[NAME_SIZE];
    uint64_t term;
    uint32_t cluster_epoch;
    struct member_id member; /* the leader's id; zeros of a program that does not say it */
};

struct wire_coordinator_message {
    enum wire_coordinator_kind kind;

    union {
        struct wire_welcome welcome;
        struct goal goal;
        struct renewal_answer renewal_answer;
    };
};

void wire_sidecar_encode(const struct wire_sidecar_message *message, struct buf *out);
MUST_CHECK enum error wire_sidecar_decode(struct slice bytes,
                                          struct wire_sidecar_message *message_out);
void wire_coordinator_encode(const struct wire_coordinator_message *message, struct buf *out);
MUST_CHECK enum error wire_coordinator_decode(struct slice bytes,
                                              struct wire_coordinator_message *message_out);

#endif
