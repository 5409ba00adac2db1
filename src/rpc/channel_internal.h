/* SPDX-License-Identifier: Apache-2.0 */
/* What channel.c (the connection) and channel_call.c (calls on it) share. */
#ifndef INDABA_RPC_CHANNEL_INTERNAL_H
#define INDABA_RPC_CHANNEL_INTERNAL_H

#include "base/prng.h"
#include "rpc/channel.h"
#include "rpc/h2.h"

#include <uv.h>

struct channel {
    struct net *net;
    struct channel_options options; /* texts are ours */
    channel_state_fn on_state;
    void *ctx;
    enum channel_state state;
    struct channel_connection *current; /* NULL while in backoff */
    struct channel_connection *leaving; /* those whose server said goodbye; their calls go on */
    struct channel_call *calls;
    uint32_t calls_count;
    uint32_t backoff_ms;
    enum stream_reason last_reason;
    char last_detail[NET_DETAIL_SIZE];
    struct prng prng; /* spreads redials */
    uv_timer_t timer; /* the next dial, or the next ping */
    uv_timer_t later; /* tells of calls that ended before they began */
    uint32_t handles_open;
};

struct channel_connection {
    struct channel *channel; /* NULL: it was freed, and only our memory is left to free */
    struct channel_connection *next;
    struct stream *stream;
    struct h2 *h2;           /* NULL until open */
    const char *lost_detail; /* set while its streams end because it is lost */
    bool is_leaving;
    bool ping_unanswered;
    bool heard_since_ping;
};

struct channel_call {
    struct channel *channel;
    struct channel_call *next;
    struct channel_call *previous;
    struct h2_stream *stream;                       /* NULL: not begun, or over */
    const struct channel_stream_handlers *handlers; /* NULL: unary */
    channel_done_fn on_done;
    void *ctx;
    char *path;
    struct buf metadata; /* name NUL value NUL … */
    struct buf out;      /* framed messages until the stream begins */
    struct grpc_deframer deframer;
    struct buf reply;     /* unary */
    struct buf held;      /* whole messages left when the handler paused */
    struct buf paused;    /* data that came while paused, its credit not given back */
    uint64_t deadline_ms; /* loop time; UINT64_MAX: none */
    uv_timer_t *timer;
    enum grpc_status early_status; /* why it ends without having begun */
    const char *early_message;
    uint32_t depth;
    bool ends_early;
    bool wait_for_ready;
    bool is_ended; /* we send no more */
    bool reply_seen;
    bool is_paused;
    bool end_seen; /* the server's end, not yet told because paused */
    bool is_over;  /* done or cancelled: off the list, the owner's pointer is dead */
};

extern const struct h2_handlers channel_h2_handlers; /* channel_receive.c */

/* channel_call.c */
/* Begins every call that waits. */
void channel_calls_begin(struct channel *channel);
/* Ends every call (or, with only_waiting, those that have not begun and do not wait). */
void channel_calls_fail(struct channel *channel, bool only_waiting, const char *message);
/* Tells the owners of calls that could not begin. */
void channel_calls_tell_early(struct channel *channel);

/* channel_receive.c: tells the owner, detaches, and frees once no handler runs. */
void channel_call_done(struct channel_call *call, const struct channel_result *result, bool reset);
/* Off its stream and off the channel's list; with `reset` the server is told. */
void channel_call_detach(struct channel_call *call, bool reset);
void channel_call_release(struct channel_call *call);

/* channel.c */
void channel_enter(struct channel *channel, enum channel_state state);
/* The current connection is lost, or never came to be. */
void channel_lost(struct channel *channel);
void channel_wake_in(struct channel *channel, uint64_t wait_ms);
void channel_tell_later(struct channel *channel);

/* channel_connection.c */
void channel_dial(struct channel *channel);
void channel_connection_orphan(struct channel_connection *connection);
void channel_connection_keepalive(struct channel_connection *connection);

#endif
