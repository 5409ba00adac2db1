/* SPDX-License-Identifier: Apache-2.0 */
/* How anything calls the coordinators: knows several members, finds one that answers, retries
 * within the deadline. A retry repeats the same bytes, so a request that changes something carries
 * its request id inside and is done at most once. Everything runs on the loop thread. */
#ifndef INDABA_CLIENT_CLIENT_H
#define INDABA_CLIENT_CLIENT_H

#include "rpc/channel.h"

enum {
    CLIENT_ADDRESSES_MAX = 16
};

struct client;
struct client_call;
struct client_session;

/* Zero means the default. */
struct client_options {
    const char *const *addresses;  /* numeric host:port of members' API ports; copied */
    size_t addresses_count;        /* 1 to CLIENT_ADDRESSES_MAX */
    struct tls *tls;               /* must outlive the client; NULL: plain */
    uint32_t attempt_timeout_ms;   /* one try of one member; 2000 */
    uint32_t keepalive_ms;         /* of each connection; 10000 */
    uint32_t keepalive_timeout_ms; /* 5000 */
};

/* ERR_INVALID: no address, too many, or one that is not numeric. Nothing is dialled yet. */
MUST_CHECK enum error
client_new(struct net *net, const struct client_options *options, struct client **client_out);
/* Calls under way end without their on_done; sessions must have been freed before. */
void client_free(struct client *client);

/* How a call ended; see struct channel_result. `attempts` counts the members tried. */
struct client_result {
    enum grpc_status status;
    const char *message;
    struct slice details;
    struct slice reply;
    uint32_t attempts;
    const char *address; /* of the member that answered last */
    const char *peer;    /* its certificate's SPIFFE id; "" if none answered */
};

typedef void (*client_done_fn)(const struct client_result *result, void *ctx);

struct client_request {
    const char *path; /* "/indaba.v1.Shards/GetShard" */
    struct slice message;
    uint32_t timeout_ms; /* > 0 */
};

/* A unary call, tried on one member after the other while they are unavailable, until its time is
 * up. The member asked passes it on to the leader. The request is copied. on_done is called exactly
 * once, never from inside. */
void client_call(struct client *client,
                 const struct client_request *request,
                 client_done_fn on_done,
                 void *ctx);

/* The same, of the member at `address` alone, once. ERR_INVALID for an address that is not numeric,
 * ERR_LIMIT if too many are known already: then nothing is called. */
MUST_CHECK enum error client_ask(struct client *client,
                                 const char *address,
                                 const struct client_request *request,
                                 client_done_fn on_done,
                                 void *ctx);

/* A bidirectional stream with the leader, opened again and again: at once after a loss, then with a
 * short backoff, following the leader that members name. */
struct client_session_handlers {
    /* The stream was begun on `address`; the owner says hello. Not yet proof of a leader. */
    void (*on_open)(struct client_session *session, const char *address, void *ctx);
    void (*on_message)(struct client_session *session, struct slice message, void *ctx);
    /* It ended; the next attempt follows by itself. `reason` is for people. */
    void (*on_lost)(struct client_session *session, const char *reason, void *ctx);
};

/* Begins at once. `handlers` must outlive the session. */
struct client_session *client_session_new(struct client *client,
                                          const char *path,
                                          const struct client_session_handlers *handlers,
                                          void *ctx);
/* No handler is called any more. Allowed inside handlers. */
void client_session_free(struct client_session *session);
/* ERR_UNAVAILABLE while it is not open, ERR_EXHAUSTED when the queue is full. */
MUST_CHECK enum error client_session_send(struct client_session *session, struct slice message);
/* Gives the present attempt up and tries the next member, for the reason that on_lost gets. One
 * that `served` is left at once, as when it ends the stream itself; one that did not, whatever it
 * said, counts as one that refused. */
void client_session_move(struct client_session *session, bool served, const char *reason);
/* The SPIFFE id of who answers there, by its certificate; "" while nobody does. */
const char *client_session_peer(const struct client_session *session);
/* Where it is or was last open; "" if never. */
const char *client_session_address(const struct client_session *session);

#endif
