/* SPDX-License-Identifier: Apache-2.0 */
/* What the api, the services and the sessions share. */
#ifndef INDABA_COORDINATOR_API_INTERNAL_H
#define INDABA_COORDINATOR_API_INTERNAL_H

#include "coordinator/api.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/reflection.h"
#include "rpc/server.h"

enum {
    API_METHODS_MAX = 32,
    /* A range of keys, or what a member passes on for many clients; etcd itself has no bound. */
    API_REPLY_BYTES_MAX = 64 * 1024 * 1024
};

#define API_ACTOR_METADATA "indaba-actor"

struct service_binding;
struct denials;
struct etcd;
struct sessions;

struct api {
    struct api_options options;
    struct node *node;
    const struct member_config *config;
    struct server *server;
    struct health *health;
    struct reflection *reflection;
    struct etcd *etcd;
    char refusal[NODE_QUARANTINE_TEXT_SIZE]; /* what refuse_in_quarantine said last */
    struct server_method methods[API_METHODS_MAX];
    struct service_binding *bindings;
    struct sessions *sessions;
    struct channel *leader_channel; /* to the leader last passed on to; NULL if none */
    struct member_id leader;        /* whose it is */
    uint64_t requests;
    uint64_t denied;
    struct denials *denials;
    uint64_t forwarded;
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

/* Who asks. */
enum api_role {
    API_NOBODY,
    API_OPERATOR,
    API_MEMBER,
    API_SIDECAR,
    API_CLIENT /* the etcd API only */
};

/* What the certificate says, of a member only if its name is on record: whoever was never added, or
 * was removed, is nobody. */
enum api_role api_role_of(const struct api *api, const char *identity);
/* Ends the call of somebody whose role does not do, and says so in log and ledger. One with a
 * member's certificate whom only an outdated record may not know is sent on instead. */
void api_refuse_role(struct api *api, struct server_call *call, const char *why);

/* For server_options.refuse, with the api as its ctx. */
const char *api_refuse_in_quarantine(void *ctx);
/* Ends a call with UNAVAILABLE and the leader that this member knows, for clients to follow. */
void api_refuse_not_leader(struct api *api, struct server_call *call);

/* Counts a denied call, logs it and, as leader, records it in the ledger: the first of an identity
 * and a reason soon, repeats together and ever more rarely (denials.c). The call is still the
 * caller's to end. */
void api_denied(struct api *api, const struct server_call *call, const char *why);
struct denials *denials_new(struct api *api);
void denials_free(struct denials *denials);

/* Calls passed on to the old leader end at once, so that their callers try again. */
void api_leader_changed(struct api *api);

/* The open channel to the leader, dialled on first use; NULL if no other member leads, or its
 * record has an address that cannot be dialled. */
struct channel *api_leader_channel(struct api *api);

/* The sidecars' sessions (service_sidecars.c). */
struct sessions *sessions_new(struct api *api);
void sessions_free(struct sessions *sessions);
uint32_t sessions_count(const struct sessions *sessions);
/* Ends all of them: the sidecars go to the next leader. */
void sessions_end(struct sessions *sessions);
/* The server_method of the session stream. */
struct server_method sessions_method(struct sessions *sessions);

#endif
