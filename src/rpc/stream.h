/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection, plain or TLS, and the listener that makes them. Writes are gathered and leave
 * together before the loop sleeps. Close discipline: on_close comes exactly once for each stream,
 * never from inside another call of this module, and the memory is freed after it returns. Its
 * reason tells a refused connection from silence: peers need that as evidence (safety.md 6). */
#ifndef INDABA_RPC_STREAM_H
#define INDABA_RPC_STREAM_H

#include "base/buf.h"
#include "base/reason.h"
#include "rpc/net.h"
#include "rpc/tls.h"

struct stream;
struct stream_listener;

enum stream_reason {
    STREAM_CLOSED_HERE, /* stream_close or stream_finish */
    STREAM_REFUSED,     /* the host answered that nobody listens */
    STREAM_UNREACHABLE, /* no route, network or host down */
    STREAM_TIMEOUT,     /* no connection or handshake in time, or no acknowledgement of data */
    STREAM_EOF,         /* the peer closed */
    STREAM_RESET,       /* the peer's kernel reset the connection */
    STREAM_TLS_FAILED,  /* handshake or record failed; see the detail */
    STREAM_IDENTITY,    /* the certificate is missing, refused, or not of the demanded kind */
    STREAM_FAILED,      /* another error of the system */
};

/* "refused", "eof" …; for logs and metrics. Never NULL. */
const char *stream_reason_name(enum stream_reason reason);

/* Each may be NULL. Called on the loop thread; stream_close is allowed in all of them. */
struct stream_handlers {
    /* Connected and, with TLS, authenticated. Only for streams made by stream_connect. */
    void (*on_open)(struct stream *stream, void *ctx);
    /* The bytes are valid during the call. */
    void (*on_read)(struct stream *stream, struct slice bytes, void *ctx);
    /* The queue has fallen to half of its bound or below, after a write left it above that. */
    void (*on_drain)(struct stream *stream, void *ctx);
    /* The kernel has taken everything that was written. */
    void (*on_sent)(struct stream *stream, void *ctx);
    /* Last call; `detail` is a text for people, valid during the call. */
    void (*on_close)(struct stream *stream,
                     enum stream_reason reason,
                     const char *detail,
                     void *ctx);
};

/* Zero in a field means its default. */
struct stream_options {
    struct tls *tls;               /* NULL: plain. Must outlive a listener; else only the call */
    enum tls_role tls_role;        /* listeners: TLS_SERVER or TLS_SERVER_PUBLIC */
    bool is_urgent;                /* listeners: nobody waits for others, as below */
    const char *alpn;              /* a literal, or NULL */
    const char *peer_path_prefix;  /* demanded of the peer's SPIFFE path ("/member/"), or NULL */
    uint32_t handshake_timeout_ms; /* connect and TLS together; 5000 */
    uint32_t user_timeout_ms;      /* TCP_USER_TIMEOUT; 10000 */
    uint32_t keepalive_s;          /* TCP keepalive idle time; 10 */
    size_t write_queue_bytes_max;  /* 8 MiB */
    int send_buffer_bytes;         /* what the kernel holds of unread answers; its own choice */
};

struct stream_listen_options {
    const char *address; /* numeric; port 0 picks one */
    struct stream_options stream;
    /* 20000, at most half of the descriptors that the process may have; one that is given, at most
     * an eighth. Beyond it new ones are closed at once. */
    uint32_t connections_max;
    /* Handshakes under way, of strangers and as many of known sources: 2048, at most an eighth of
     * connections_max. Of one source, half of it. Beyond it one gives way: the oldest, if it had a
     * second, or any. */
    uint32_t half_open_max;
    /* NULL, or whether the owner (ctx of the acceptor) waits for somebody from that host: then
     * strangers do not push them out, and only they are urgent. Asked when a source is new. */
    bool (*knows_source)(const char *host, void *ctx);
};

/* Starts connecting; outcome by on_open or on_close. ERR_INVALID for an address that is not numeric
 * (then nothing was made). The options are copied. */
MUST_CHECK enum error stream_connect(struct net *net,
                                     const char *address,
                                     const struct stream_options *options,
                                     struct stream **stream_out);
/* Must be called right after stream_connect, or within on_accept. `handlers` must outlive the
 * stream (a static const). */
void stream_set_handlers(struct stream *stream, const struct stream_handlers *handlers, void *ctx);

/* Copies and queues; the bytes go out before the loop sleeps. ERR_EXHAUSTED, and nothing queued, if
 * the bound would be exceeded; ERR_CLOSED when closing; ERR_PRECONDITION before it is open. */
MUST_CHECK enum error stream_write(struct stream *stream, struct slice bytes);
MUST_CHECK enum error
stream_write_parts(struct stream *stream, const struct slice *parts, size_t parts_count);
/* Sends now what is queued, without waiting for the end of the turn. */
void stream_flush(struct stream *stream);
/* Bytes accepted and not yet given to the kernel. */
size_t stream_queued_bytes(const struct stream *stream);
/* Back-pressure on the peer: after pause no on_read, except for bytes already decrypted in this
 * very call. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Now: unsent bytes are dropped. Idempotent. */
void stream_close(struct stream *stream);
/* The same, with another reason than STREAM_CLOSED_HERE for on_close. */
void stream_close_as(struct stream *stream, enum stream_reason reason, const char *detail);
/* Sends what is queued, says goodbye, then closes; at the latest after 5 s. */
void stream_finish(struct stream *stream);
/* Closes and never calls a handler again: for owners that go away first. */
void stream_forget(struct stream *stream);

bool stream_is_open(const struct stream *stream);
/* SPIFFE identity of the peer; "" for plain or anonymous streams. Until on_close returns. */
const char *stream_peer(const struct stream *stream);
/* "10.0.0.1:51234"; "" while unknown. */
const char *stream_peer_address(const struct stream *stream);
struct net *stream_net(const struct stream *stream);

/* Called for each connection whose handshake is done; it must set handlers or close the stream. */
typedef void (*stream_accept_fn)(struct stream *stream, void *ctx);

struct stream_acceptor {
    stream_accept_fn on_accept;
    /* NULL, or called when a newcomer is one too many: the owner may close another. */
    void (*on_full)(const struct stream *newcomer, void *ctx);
    void *ctx;
};

/* ERR_BUSY for an address in use, ERR_INVALID for one that is not numeric, ERR_DENIED for a port
 * that takes privilege; reason names it. The options are copied. */
MUST_CHECK enum error stream_listen(struct net *net,
                                    const struct stream_listen_options *options,
                                    struct stream_acceptor acceptor,
                                    struct reason *reason,
                                    struct stream_listener **listener_out);
/* Of a listener: reading what those send who have shaken hands takes at most 10 ms of a turn of the
 * loop. None has a second part before all others who sent something had theirs; the rest is left
 * with the kernel. One that is preferred has its part in each turn, whoever waits. */
void stream_prefer(struct stream *stream);
/* Of a listener: whoever comes from there is known from now on, as to knows_source. The last 1024
 * such hosts are. */
void stream_remember_source(struct stream *stream);
/* The port in use. */
uint16_t stream_listener_port(const struct stream_listener *listener);
/* The bound in force, of the options and the process's descriptors. */
uint32_t stream_listener_connections_max(const struct stream_listener *listener);
/* Connections accepted and not yet closed. */
uint32_t stream_listener_connections(const struct stream_listener *listener);
/* Stops accepting and lets go: the pointer is dead. Accepted streams live on; those still in a
 * handshake are closed. */
void stream_listener_close(struct stream_listener *listener);

#endif
