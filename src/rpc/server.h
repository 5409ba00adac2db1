/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server: a table of methods, calls, limits, drain. It knows no message's meaning: bytes in,
 * bytes out. Everything runs on the loop thread; handlers may answer at once or later.
 *
 * The life of a call: it begins in a handler (on_start, or on_message for unary and server-stream
 * methods, which get exactly one message) and ends either by server_call_finish / server_call_reply
 * (ours) or by on_cancel (the client's cancellation, the deadline, the end of the connection, a
 * hard stop): exactly one of the two, and after it the pointer is dead. Whoever keeps a call beyond
 * its handler sets on_cancel. A cancelled write that was proposed may still commit. */
#ifndef INDABA_RPC_SERVER_H
#define INDABA_RPC_SERVER_H

#include "base/buf.h"
#include "base/reason.h"
#include "rpc/grpc.h"
#include "rpc/net.h"
#include "rpc/tls.h"

struct server;
struct server_call;

enum server_method_kind {
    SERVER_UNARY,
    SERVER_STREAM, /* one request, many replies */
    SERVER_BIDI,   /* many requests, many replies; client streams too */
};

struct server_method {
    const char *path; /* "/indaba.v1.Shards/GetShard" */
    enum server_method_kind kind;
    /* SERVER_BIDI only, may be NULL: the call began. */
    void (*on_start)(struct server_call *call, void *ctx);
    /* The message is valid during the call. */
    void (*on_message)(struct server_call *call, struct slice message, void *ctx);
    /* SERVER_BIDI only: the client sends no more. NULL: the call is finished with OK. */
    void (*on_end)(struct server_call *call, void *ctx);
    void *ctx;
};

enum {
    SERVER_SMALL_BYTES = 64 * 1024
};

/* Who calls, as far as shares go: each class has its own, so that none can take another's. */
enum server_class {
    SERVER_NOBODY,   /* an identity that means nothing here */
    SERVER_CLIENT,   /* many, of many kinds */
    SERVER_OPERATOR, /* few, who must get through */
    SERVER_TRUSTED,  /* whom promises are kept with */
    SERVER_CLASSES
};

/* Zero in a number means its default. */
struct server_options {
    const char *address; /* numeric; port 0 picks one */
    struct tls *tls;     /* NULL: plain */
    enum tls_role tls_role;
    const struct server_method *methods; /* outlive the server */
    size_t methods_count;
    void *ctx; /* of the functions that follow, each of which may be NULL */
    /* Asked at each new call: a text ends the call with UNAVAILABLE. */
    const char *(*refuse)(void *ctx);
    /* Asked by methods that know no roles of their own (health, reflection): false if it has ended
     * the call. */
    bool (*admit)(struct server_call *call, void *ctx);
    /* NULL: all are SERVER_TRUSTED. */
    enum server_class (*class_of)(const char *identity, void *ctx);
    bool (*knows_source)(const char *host, void *ctx); /* as stream_listen_options */
    /* 20000. Clients may have three quarters of them, those of one identity five eighths,
     * operators an eighth, nobody a 64th. */
    uint32_t connections_max;
    uint32_t streams_max;           /* per connection; 128 */
    uint32_t message_bytes_max;     /* of a request; 4 MiB */
    uint32_t reply_bytes_max;       /* of one that we send; 4 MiB */
    uint32_t header_list_bytes_max; /* 8 KiB */
    size_t call_queue_bytes_max;    /* unsent messages per call; 8 MiB */
    /* Unsent messages of all calls, those that have ended included, of a connection and of a class:
     * 64 and 512 MiB, operators a quarter of that, nobody a 512th. Clients of one identity have
     * half of what clients have. Messages of up to SERVER_SMALL_BYTES have as much once more, so
     * that those who do not read much do not suffer from those who do not read. */
    size_t connection_queue_bytes_max;
    size_t queue_bytes_max;
    /* Bytes of requests that cannot be handed on yet, of a class: 256 MiB, parts as above; those of
     * any identity half of that. A call that finds no room ends with RESOURCE_EXHAUSTED. */
    size_t intake_bytes_max;
    /* A stream of which nothing is taken for so long is reset, and a request that is not whole
     * after three times as long ends; 20000. */
    uint32_t stall_ms;
    uint32_t connection_age_max_ms; /* 1 h, ±10 %; then drained one by one */
    uint32_t ping_interval_min_ms;  /* more frequent pings without data are strikes; 500 */
};

/* Listens at once. ERR_BUSY, ERR_INVALID, ERR_DENIED as stream_listen. */
MUST_CHECK enum error server_new(struct net *net,
                                 const struct server_options *options,
                                 struct reason *reason,
                                 struct server **server_out);
uint16_t server_port(const struct server *server);
uint32_t server_connections_count(const struct server *server);
uint32_t server_calls_count(const struct server *server);
/* Unsent bytes of all connections. */
size_t server_queued_bytes(const struct server *server);
/* Adds methods while it runs (health, reflection); the table must outlive the server. */
void server_add_methods(struct server *server, const struct server_method *methods, size_t count);
/* Stops accepting, says GOAWAY twice, lets calls finish for up to grace_ms, cancels the rest, and
 * calls on_drained once (never from inside this call). */
void server_drain(struct server *server,
                  uint32_t grace_ms,
                  void (*on_drained)(struct server *server, void *ctx),
                  void *ctx);
/* Cancels every call (on_cancel runs inside), closes every connection, lets go: the pointer is
 * dead; memory goes in the close callbacks. Not from inside a handler. */
void server_free(struct server *server);

/* Queues one message. ERR_EXHAUSTED (nothing queued) if the queue of the call, of its connection or
 * of the server would exceed its bound: end a slow watcher with RESOURCE_EXHAUSTED. What is put
 * into an empty queue of a call fits that bound whatever its size; above it, it does not count for
 * those behind it. ERR_LIMIT above reply_bytes_max. ERR_PRECONDITION for a second message of a
 * unary call. */
MUST_CHECK enum error server_call_send(struct server_call *call, struct slice message);
/* The same for several that belong together: all or none, with nothing between them. */
MUST_CHECK enum error
server_call_send_all(struct server_call *call, const struct slice *messages, size_t count);
/* How much the bounds of connection and server allow now; an empty connection takes any size if the
 * server does. */
size_t server_call_room(const struct server_call *call);
/* Whether options.admit lets this call in; else it has ended. */
bool server_call_admit(struct server_call *call);
/* Unsent bytes of this call. */
size_t server_call_queued_bytes(const struct server_call *call);
/* Ends the call: what is queued goes out first. `message` may be NULL; `details` are bytes of a
 * google.rpc.Status or empty, and are left out if they would not fit into the client's headers. */
void server_call_finish(struct server_call *call,
                        enum grpc_status status,
                        const char *message,
                        struct slice details);
/* One message and OK. */
void server_call_reply(struct server_call *call, struct slice message);
/* grpc_status_from_error(error), and a text. */
void server_call_fail(struct server_call *call, enum error error, const char *message);

/* Called once when the call ends otherwise than by us. */
void server_call_set_cancel(struct server_call *call,
                            void (*on_cancel)(struct server_call *call, void *ctx),
                            void *ctx);
/* Called when the queue has run empty after it was not; for producers that wait. */
void server_call_set_drain(struct server_call *call,
                           void (*on_drain)(struct server_call *call, void *ctx),
                           void *ctx);
/* Back-pressure on the client: no on_message until resumed (never from inside resume itself). */
void server_call_pause(struct server_call *call);
void server_call_resume(struct server_call *call);
/* Adds to the trailers ("grpc-retry-pushback-ms"). Names are lower case; a "-bin" value is given
 * already encoded. At most 16. */
void server_call_set_trailer(struct server_call *call, const char *name, const char *value);

/* Slot for the owner. */
void server_call_set_user(struct server_call *call, void *user);
void *server_call_user(const struct server_call *call);
/* SPIFFE identity or "". These texts live as long as the call. */
const char *server_call_peer(const struct server_call *call);
const char *server_call_peer_address(const struct server_call *call);
const char *server_call_path(const struct server_call *call);
/* First value of that name, or NULL. */
const char *server_call_metadata(const struct server_call *call, const char *name);
/* Milliseconds left; UINT64_MAX without a deadline. */
uint64_t server_call_remaining_ms(const struct server_call *call);
struct server *server_call_server(const struct server_call *call);

#endif
