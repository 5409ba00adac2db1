/* SPDX-License-Identifier: Apache-2.0 */
/* What net.c, stream.c and stream_listen.c know of each other. Nobody else includes this. */
#ifndef INDABA_RPC_NET_INTERNAL_H
#define INDABA_RPC_NET_INTERNAL_H

#include "base/prng.h"
#include "rpc/stream.h"

#include <sys/socket.h>
#include <uv.h>

enum {
    NET_READ_BYTES = 64 * 1024,
    NET_PLAIN_BYTES = 64 * 1024,
    /* A thousand clients that come at once cost most of a second. What they take of each turn is
     * bounded, so that peers and timers are not kept waiting, and nobody takes this member for
     * dead. */
    NET_HANDSHAKES_NS = 10 * 1000 * 1000,
    /* What those who are in send costs, too: of a turn, all of a listener's together, and one of
     * them before the others have had as much. Looked at between reads, so a read is small: 8 KiB
     * are some two hundred calls. */
    NET_PARTS_NS = 10 * 1000 * 1000,
    NET_PART_NS = 250 * 1000,
    NET_PART_BYTES = 8 * 1024
};

#define NET_REFUSALS(X)                                                                   \
    X(NET_REFUSED_HALF_OPEN, "half_open")     /* of all that have not shaken hands */     \
    X(NET_REFUSED_SOURCE, "source")           /* one address has more than its share */   \
    X(NET_REFUSED_CONNECTIONS, "connections") /* the port has as many as it may */        \
    X(NET_REFUSED_SHARE, "share")             /* an identity or its kind has its share */ \
    X(NET_REFUSED_IDLE, "idle")               /* the longest idle gave way */             \
    X(NET_REFUSED_UNREAD, "unread")           /* what was asked for is not taken */       \
    X(NET_REFUSED_UNFINISHED, "unfinished")   /* what was begun is not sent to its end */ \
    X(NET_REFUSED_PROTOCOL, "protocol")       /* what no honest peer sends */             \
    X(NET_REFUSED_HANDSHAKE, "handshake")     /* it failed, or did not end in time */     \
    X(NET_REFUSED_DESCRIPTORS, "descriptors") /* the process has none left */

enum net_refusal {
#define X(id, name) id,
    NET_REFUSALS(X)
#undef X
    NET_REFUSALS_COUNT
};

struct net_refusals;

struct net {
    uv_loop_t *loop;
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while something is left for the next turn: the loop does not sleep */
    TAILQ_HEAD(net_sleeper_list, net_sleeper) sleepers[NET_STAGES];
    struct stream *dirty;   /* streams with something to send this turn */
    struct stream *streams; /* all, doubly linked */
    struct stream_listener *listeners;
    struct h2_pool *h2_pool;
    struct net_refusals *refusals;
    uint64_t turn;          /* of the loop */
    uint64_t handshakes_ns; /* what those of clients have taken in this turn */
    uint32_t streams_count;
    uint32_t handles_open;
    uint8_t read_bytes[NET_READ_BYTES];
    uint8_t plain_bytes[NET_PLAIN_BYTES];
};

enum stream_state {
    STREAM_STATE_CONNECTING,
    STREAM_STATE_HANDSHAKE,
    STREAM_STATE_OPEN,
    STREAM_STATE_FINISHING, /* sends the rest, then waits for the peer's end */
    STREAM_STATE_CLOSING,   /* uv_close was called */
};

enum {
    STREAM_SOURCE_BYTES = 16,
    STREAM_SOURCE_BUCKETS = 64,
    STREAM_SOURCES_REMEMBERED_MAX = 1024
};

/* An address that connections come from, while there are some; of IPv6 its first half. */
struct stream_source {
    struct stream_source *next; /* in its bucket */
    TAILQ_ENTRY(stream_source) others;
    uint32_t connections;
    uint32_t half_open; /* of them */
    bool is_known;
    bool is_remembered; /* then it stays, without connections as well */
    uint8_t address[STREAM_SOURCE_BYTES];
    char host[NET_ADDRESS_SIZE];
};

struct stream {
    struct net *net;
    struct stream *next;
    struct stream *previous;
    struct stream *dirty_next;
    struct stream_listener *listener; /* NULL once one let go of the other, or for outgoing ones */
    struct stream_source *source;     /* the listener's */
    struct stream *half_next;         /* of those half open, the oldest first */
    struct stream *half_previous;
    uint64_t half_since_ms; /* loop time */
    uv_tcp_t tcp;
    uv_timer_t timer; /* handshake, then the end of stream_finish */
    uv_write_t write_request;
    uv_shutdown_t shutdown_request;
    struct tls_session *tls;
    const struct stream_handlers *handlers;
    void *ctx;
    struct buf pending; /* accepted, plain text */
    struct buf writing; /* being written, as it goes on the wire */
    size_t queue_bytes_max;
    char *peer_path_prefix;
    char *detail; /* why it closed; NULL: nothing to say */
    uint32_t user_timeout_ms;
    uint32_t keepalive_s;
    int send_buffer_bytes; /* 0: the kernel's choice */
    enum stream_state state;
    enum stream_reason reason;
    uint8_t handles_open;
    bool is_dirty;
    bool is_writing;
    bool is_paused;
    bool is_half_open; /* in its listener's list */
    bool has_spoken;   /* something of its handshake came */
    bool wants_tls;    /* its session is made when something comes */
    bool wants_sent;   /* on_sent is owed */
    bool is_urgent;    /* its handshake does not wait for others */
    bool has_parts;    /* how much is read of it is bounded */
    bool is_preferred; /* and it does not wait for others */
    uint64_t part;     /* the turn, or round, that part_ns is of */
    uint64_t part_ns;
    bool write_failed;
    bool wants_drain;
    char peer_address[NET_ADDRESS_SIZE];
};

enum {
    STREAM_ACCEPTS_A_TURN = 128 /* of a listener, in one turn of the loop */
};

struct stream_listener {
    struct net *net;
    struct stream_listener *next;
    struct stream_listener *previous;
    uv_tcp_t tcp;
    uv_idle_t turn;    /* runs once behind a turn of the loop in which somebody came */
    uint32_t accepted; /* in this turn */
    bool holds;        /* one more has come than a turn takes */
    uint32_t handles_open;
    struct stream_listen_options options;
    struct stream_acceptor acceptor;
    char *peer_path_prefix;
    uint16_t port;
    uint32_t connections;
    uint64_t parts_ns;     /* in this turn, of those that are not preferred */
    uint64_t round;        /* in which each of those has its part */
    bool has_left_out;     /* somebody who had none in this round could have it in no turn yet */
    uint32_t half_open[2]; /* of strangers, of sources that are known */
    struct stream *half_first;
    struct stream *half_last;
    struct stream_source *sources[STREAM_SOURCE_BUCKETS];
    TAILQ_HEAD(stream_source_list, stream_source) remembered; /* who was here last is last */
    uint32_t remembered_count;
    struct prng prng;
};

/* Fills `out`; ERR_INVALID for what is not numeric. */
MUST_CHECK enum error net_parse_address(const char *address, struct sockaddr_storage *out);
void net_format_address(const struct sockaddr_storage *address, char *text);
/* Without the port: "10.0.0.1", "fd00::1". */
void net_format_host(const struct sockaddr_storage *address, char *text);

/* Counts what was refused, and tells it; `who` are pairs of a log line. */
void net_refused(struct net *net, enum net_refusal cause, const char *who);
struct net_refusals *net_refusals_new(void);
/* Once a turn. */
void net_refusals_tell(struct net *net);
/* net_turn.c */
void net_on_prepare(uv_prepare_t *prepare);

/* Registers for the flush before the loop sleeps. */
void net_mark_dirty(struct net *net, struct stream *stream);
void net_unmark_dirty(struct net *net, struct stream *stream);

/* A stream in STREAM_STATE_CONNECTING with its handles, not yet connected. */
struct stream *stream_make(struct net *net, const struct stream_options *options);
/* The socket is connected: sets its options, starts TLS or opens. */
void stream_begin(struct stream *stream);
/* Bounds the time until it is open; 0: 5 s. */
void stream_watch_handshake(struct stream *stream, uint32_t timeout_ms);
void stream_fail_uv(struct stream *stream, int uv_error, const char *doing);

/* stream_part.c: false if nothing may be read of it in this turn of the loop; … */
bool stream_may_read(struct stream *stream);
/* … how much at once; … */
size_t stream_read_bytes(const struct stream *stream);
/* … what a read cost; `is_open`: it had shaken hands before; … */
void stream_has_read(struct stream *stream, bool is_open, uint64_t ns);
/* … and a turn ends. */
void stream_parts_turn(struct net *net);

/* Called by stream.c for streams of a listener. */
void stream_listener_opened(struct stream *stream);

/* stream_source.c: a stream of a listener is counted, as half open, … */
void stream_source_enter(struct stream *stream, const struct sockaddr_storage *address);
/* … another gives way to it if there are too many, … */
void stream_source_make_room(struct stream *stream);
/* … it has shaken hands, … */
void stream_source_opened(struct stream *stream);
/* … it ends: listener and stream let go of each other. */
void stream_source_leave(struct stream *stream);
/* A listener begins, and ends. */
void stream_sources_init(struct stream_listener *listener);
void stream_sources_deinit(struct stream_listener *listener);
/* net_refused for a stream of a listener. */
void stream_refused(const struct stream *stream, enum net_refusal cause);
/* The same if a handshake ended for that reason, with what TLS says of it. */
void stream_handshake_failed(const struct stream *stream, enum stream_reason reason);
/* Equal for streams of one source; NULL for those of no listener. */
const struct stream_source *stream_source(const struct stream *stream);
/* How many its source has with the same listener. */
uint32_t stream_source_connections(const struct stream *stream);

#endif
