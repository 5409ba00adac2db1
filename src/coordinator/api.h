/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC port of a member: the services of proto/indaba/v1, health, and the sessions of sidecars.
 * A unary request may be made of any member: what needs the leader is passed on to it, once. */
#ifndef INDABA_COORDINATOR_API_H
#define INDABA_COORDINATOR_API_H

#include "coordinator/node.h"

struct api;

struct api_options {
    struct net *net;
    struct tls *tls;
    struct node *node; /* outlives the api */
};

/* Listens at once. `errmsg` holds NODE_ERROR_SIZE bytes. Errors as server_new. */
MUST_CHECK enum error
api_new(const struct api_options *options, char *errmsg, struct api **api_out);
/* Ends the sidecars' sessions, accepts nothing more, lets calls finish for up to grace_ms;
 * on_drained is called once, never from inside. */
void api_drain(struct api *api, uint32_t grace_ms, void (*on_drained)(void *ctx), void *ctx);
/* Cancels what is left. Not from inside a handler of a call. */
void api_free(struct api *api);

struct api_counts {
    uint32_t connections;
    uint32_t calls;
    uint32_t sessions;
    uint64_t requests;
    uint64_t denied;
    uint64_t forwarded;
};

struct api_counts api_counts(const struct api *api);

#endif
