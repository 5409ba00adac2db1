/* SPDX-License-Identifier: Apache-2.0 */
/* What front.c and denials.c share. */
#ifndef INDABA_API_FRONT_INTERNAL_H
#define INDABA_API_FRONT_INTERNAL_H

#include "api/front.h"
#include "node/node.h"
#include "rpc/health.h"

struct denials;

struct front {
    struct front_options options;
    const struct member_config *config;
    struct server *server;
    struct health *health;
    struct denials *denials;
    struct node_observer observer;
    struct node_port *port;
    struct channel *leader_channel;          /* to the leader last passed on to; NULL if none */
    struct member_id leader;                 /* whose it is */
    char refusal[NODE_QUARANTINE_TEXT_SIZE]; /* what front_refuse_in_quarantine said last */
    uint64_t requests;
    uint64_t denied;
    uint64_t forwarded;
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

struct denials *denials_new(struct front *front);
void denials_free(struct denials *denials);

#endif
