/* SPDX-License-Identifier: Apache-2.0 */
/* What every service behind the gRPC port shares, ours and etcd's alike: the server, who may ask
 * (roles of certificates, what is said of those denied), what a member in quarantine or without
 * leadership answers, and the channel to the leader. Knows no service. Loop thread. */
#ifndef INDABA_API_FRONT_H
#define INDABA_API_FRONT_H

#include "base/reason.h"
#include "config/member_config.h"
#include "node/node_port.h"
#include "rpc/channel.h"
#include "rpc/server.h"

enum {
    /* A range of keys, or what a member passes on for many clients; etcd itself has no bound. */
    FRONT_REPLY_BYTES_MAX = 64 * 1024 * 1024
};

#define FRONT_ACTOR_METADATA "indaba-actor" /* of a call that a member passes on: who asked it */

struct front;
struct node;

struct front_options {
    struct net *net;
    struct tls *tls;
    struct node *node; /* outlives the front */
};

/* Listens at once on listen.api; methods are added before the loop turns. Errors as
 * server_new. */
MUST_CHECK enum error
front_new(const struct front_options *options, struct reason *reason, struct front **front_out);
/* Accepts nothing more, lets calls finish for up to grace_ms; on_drained is called once, never from
 * inside. */
void front_drain(struct front *front, uint32_t grace_ms, void (*on_drained)(void *ctx), void *ctx);
/* Cancels what is left: after it no call reaches a service. Not from inside a handler of a call. */
void front_cut(struct front *front);
/* After front_cut, and after all services. */
void front_free(struct front *front);

/* They live as long as the front; the server until front_cut. */
struct net *front_net(const struct front *front);
struct node *front_node(const struct front *front);
/* By which those who serve clients see the node. */
struct node_port *front_port(const struct front *front);
const struct member_config *front_config(const struct front *front);
struct server *front_server(const struct front *front);

struct front_counts {
    uint32_t connections;
    uint32_t calls;
    uint64_t requests;
    uint64_t denied;
    uint64_t forwarded;
};

/* Before front_cut. */
struct front_counts front_counts(const struct front *front);
/* A unary request came, or is passed on to the leader. */
void front_count_request(struct front *front);
void front_count_forwarded(struct front *front);

/* Who asks. */
enum front_role {
    FRONT_NOBODY,
    FRONT_OPERATOR,
    FRONT_MEMBER,
    FRONT_SIDECAR,
    FRONT_CLIENT /* the etcd API only */
};

/* What the certificate says, of a member only if its name is on record: whoever was never added, or
 * was removed, is nobody. */
enum front_role front_role_of(const struct front *front, const char *identity);
/* Ends the call of somebody whose role does not do, and says so in log and ledger. One with a
 * member's certificate whom only an outdated record may not know is sent on instead. */
void front_refuse_role(struct front *front, struct server_call *call, const char *why);

/* For server_options.refuse, with the front as its ctx. */
const char *front_refuse_in_quarantine(void *ctx);
/* Ends a call with UNAVAILABLE and the leader that this member knows, for clients to follow. */
void front_refuse_not_leader(struct front *front, struct server_call *call);

/* Counts a denied call, logs it and, as leader, records it in the ledger: the first of an identity
 * and a reason soon, repeats together and ever more rarely (denials.c). The call is still the
 * caller's to end. */
void front_denied(struct front *front, const struct server_call *call, const char *why);

/* The open channel to the leader, dialled on first use; NULL if no other member leads, or its
 * record has an address that cannot be dialled. When another leads, its calls end at once, so that
 * their callers try again. */
struct channel *front_leader_channel(struct front *front);

#endif
