/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC client's connection to one address: connects, and again with backoff for as long as it is
 * open; carries many calls at once. It does not choose among members and does not retry: that is
 * client/. Everything runs on the loop thread. */
#ifndef INDABA_RPC_CHANNEL_H
#define INDABA_RPC_CHANNEL_H

#include "base/buf.h"
#include "rpc/grpc.h"
#include "rpc/net.h"
#include "rpc/stream.h"

struct channel;
struct channel_call;

enum channel_state {
    CHANNEL_CONNECTING,
    CHANNEL_READY,
    CHANNEL_BACKOFF, /* the last attempt failed or the connection was lost; waits to redial */
    CHANNEL_CLOSED,
};

/* Zero means the default. */
struct channel_options {
    const char *address;           /* numeric host:port */
    struct tls *tls;               /* NULL: plain; must outlive the channel */
    const char *peer_path_prefix;  /* demanded of the server's SPIFFE path ("/member/"), or NULL */
    uint32_t connect_timeout_ms;   /* 5000 */
    uint32_t backoff_min_ms;       /* 50 */
    uint32_t backoff_max_ms;       /* 2000 */
    uint32_t keepalive_ms;         /* HTTP/2 ping while idle for so long; 10000 */
    uint32_t keepalive_timeout_ms; /* without an answer the connection is dead; 5000 */
    uint32_t message_bytes_max;    /* 4 MiB */
    uint32_t calls_max;            /* open calls, the waiting ones included; 1024 */
    size_t call_queue_bytes_max;   /* unsent bytes of one call; 8 MiB */
};

/* Called on each change of state, never from inside a call of this module made by the owner, except
 * by the loop. `reason` and `detail` say why the last connection ended (for CHANNEL_BACKOFF). May
 * be NULL. */
typedef void (*channel_state_fn)(struct channel *channel,
                                 enum channel_state state,
                                 enum stream_reason reason,
                                 const char *detail,
                                 void *ctx);

/* Begins to connect. ERR_INVALID: the address is not numeric. */
MUST_CHECK enum error channel_new(struct net *net,
                                  const struct channel_options *options,
                                  channel_state_fn on_state,
                                  void *ctx,
                                  struct channel **channel_out);
/* Ends open calls with UNAVAILABLE (their on_done runs inside), closes, lets go: the pointer is
 * dead. Allowed inside handlers of this channel and of its calls. */
void channel_free(struct channel *channel);
enum channel_state channel_state(const struct channel *channel);
/* Why the last connection ended; STREAM_CLOSED_HERE if none did. */
enum stream_reason channel_last_reason(const struct channel *channel);
/* SPIFFE identity of the server; "" unless ready with TLS. */
const char *channel_peer(const struct channel *channel);
/* Skips the rest of the backoff. */
void channel_redial(struct channel *channel);
/* Drops the connection (open calls end with UNAVAILABLE) and dials again: after a TLS reload. */
void channel_reset(struct channel *channel);

struct channel_metadata {
    const char *name;
    const char *value;
};

struct channel_request {
    const char *path;                        /* "/indaba.v1.Shards/GetShard" */
    uint32_t timeout_ms;                     /* 0: none; only for streams */
    bool wait_for_ready;                     /* else a call fails at once while in backoff */
    const struct channel_metadata *metadata; /* copied */
    size_t metadata_count;
};

/* How a call ended. Texts and bytes are valid during on_done. */
struct channel_result {
    enum grpc_status status;
    const char *message;  /* "" if none */
    struct slice details; /* bytes of google.rpc.Status, or empty */
    struct slice reply;   /* unary calls with status OK */
    /* True only if the server's application surely never saw the call: a retry is safe for any
     * request. */
    bool not_processed;
};

/* Called exactly once, unless the call is cancelled; never from inside channel_unary or
 * channel_stream. The call is dead after it. */
typedef void (*channel_done_fn)(const struct channel_result *result, void *ctx);

/* One message there, one back. The message is copied. A call that cannot begin ends by on_done, too
 * (RESOURCE_EXHAUSTED beyond calls_max, UNAVAILABLE when not connected). The result may be ignored;
 * it is only for channel_call_cancel. */
struct channel_call *channel_unary(struct channel *channel,
                                   const struct channel_request *request,
                                   struct slice message,
                                   channel_done_fn on_done,
                                   void *ctx);

struct channel_stream_handlers {
    void (*on_message)(struct channel_call *call, struct slice message, void *ctx);
    /* The queue of unsent bytes has run empty after it was not. May be NULL. */
    void (*on_drain)(struct channel_call *call, void *ctx);
    channel_done_fn on_done;
};

/* Many messages either way (server streams: send one, then channel_call_end). `handlers` must
 * outlive the call. */
struct channel_call *channel_stream(struct channel *channel,
                                    const struct channel_request *request,
                                    const struct channel_stream_handlers *handlers,
                                    void *ctx);
/* Queues a message, also before the connection is ready. ERR_EXHAUSTED above the bound; ERR_CLOSED
 * after channel_call_end. */
MUST_CHECK enum error channel_call_send(struct channel_call *call, struct slice message);
/* We send no more. */
void channel_call_end(struct channel_call *call);
size_t channel_call_queued_bytes(const struct channel_call *call);
/* No handler is called any more; the pointer is dead. Allowed in the call's own handlers, except
 * on_done. */
void channel_call_cancel(struct channel_call *call);
void channel_call_pause(struct channel_call *call);
void channel_call_resume(struct channel_call *call);

#endif
