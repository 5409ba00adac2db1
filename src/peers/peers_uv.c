/* SPDX-License-Identifier: Apache-2.0 */
/* See peers_uv.h: struct peers_io over streams, one timer, and the listener. */
#include "peers/peers_uv.h"

#include "base/check.h"
#include "base/mem.h"
#include "peers/peers.h"
#include "rpc/frame.h"

#include <uv.h>

enum {
    DIAL_MS = 2000, /* connection and TLS */
    UNACKNOWLEDGED_MS = 5000,
    QUEUE_HEARTBEATS_BYTES = 256 * 1024,
    QUEUE_BYTES = 16 * 1024 * 1024,
    INBOUND_MAX = 256,
    HALF_OPEN_MAX = 64,
    NS_PER_MS = 1000 * 1000,
};

#define PEER_ALPN "indaba-peer/1"

struct peers_uv {
    struct net *net;
    struct tls *tls;
    struct peers *peers;
    const struct member_config *config;
    struct stream_listener *listener;
    uv_timer_t timer;
};

struct peer_conn {
    struct stream *stream;
    struct frame_reader reader;
    struct peer_link *link; /* one that we dialled, else … */
    struct peer_inbound *inbound;
};

static bool knows_source(const char *host, void *ctx);
static bool is_host(const char *address, const void *ctx);
static void on_accept(struct stream *stream, void *ctx);
static void on_inbound_read(struct stream *stream, struct slice bytes, void *ctx);
static bool on_inbound_frame(uint8_t type, struct slice payload, void *ctx);
static void
on_inbound_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void on_link_open(struct stream *stream, void *ctx);
static void on_link_read(struct stream *stream, struct slice bytes, void *ctx);
static bool on_link_frame(uint8_t type, struct slice payload, void *ctx);
static void
on_link_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void conn_free(struct peer_conn *conn);
static uint64_t now_ns(void *ctx);
static void arm_timer(void *ctx, uint64_t deadline_ms);
static void on_timer(uv_timer_t *timer);
static void on_timer_closed(uv_handle_t *handle);
static enum error dial(void *ctx,
                       struct peer_link *link,
                       enum wire_lane lane,
                       const char *address,
                       struct peer_conn **conn_out);
static enum error write_frame(struct peer_conn *conn, uint8_t type, struct slice payload);
static size_t queued_bytes(const struct peer_conn *conn);
static struct peer_party party(const struct peer_conn *conn);
static void close_conn(struct peer_conn *conn);
static void finish(struct peer_conn *conn);
static void forget(struct peer_conn *conn);

static const struct stream_handlers inbound_handlers = {
    .on_read = on_inbound_read,
    .on_close = on_inbound_close,
};

static const struct stream_handlers link_handlers = {
    .on_open = on_link_open,
    .on_read = on_link_read,
    .on_close = on_link_close,
};

static const struct peers_io streams = {
    .now_ns = now_ns,
    .arm_timer = arm_timer,
    .dial = dial,
    .write = write_frame,
    .queued_bytes = queued_bytes,
    .party = party,
    .close = close_conn,
    .finish = finish,
    .forget = forget,
};

struct peers_uv *peers_uv_new(struct net *net, struct tls *tls)
{
    struct peers_uv *uv = mem_new(sizeof(*uv));
    uv->net = net;
    uv->tls = tls;
    CHECK(uv_timer_init(net_loop(net), &uv->timer) == 0);
    uv->timer.data = uv;
    return uv;
}

const struct peers_io *peers_uv_io(void)
{
    return &streams;
}

enum error peers_uv_listen(struct peers_uv *uv,
                           struct peers *peers,
                           const struct member_config *config,
                           struct reason *reason)
{
    const struct stream_listen_options listen = {
        .address = config->listen_peer,
        .stream = {.tls = uv->tls,
                   .tls_role = TLS_SERVER,
                   .is_urgent = true,
                   .alpn = PEER_ALPN,
                   .peer_path_prefix = "/member/"},
        .connections_max = INBOUND_MAX,
        .half_open_max = HALF_OPEN_MAX,
        .knows_source = knows_source,
    };
    const struct stream_acceptor acceptor = {.on_accept = on_accept, .ctx = uv};
    uv->peers = peers;
    uv->config = config;
    return stream_listen(uv->net, &listen, acceptor, reason, &uv->listener);
}

void peers_uv_free(struct peers_uv *uv)
{
    if (uv->listener != NULL) {
        stream_listener_close(uv->listener);
    }
    uv_close((uv_handle_t *)&uv->timer, on_timer_closed);
}

/* Who is dialled, and who is in the configuration file: before peers_set it is all we know. */
static bool knows_source(const char *host, void *ctx)
{
    const struct peers_uv *uv = ctx;
    for (uint32_t i = 0; i < uv->config->members_count; i++) {
        if (net_is_host(uv->config->members[i].peer_address, host)) {
            return true;
        }
    }
    return peers_any_address(uv->peers, is_host, host);
}

static bool is_host(const char *address, const void *ctx)
{
    return net_is_host(address, ctx);
}

/* --- what dials us ----------------------------------------------------------------------------
 */

static void on_accept(struct stream *stream, void *ctx)
{
    const struct peers_uv *uv = ctx;
    struct peer_conn *conn = mem_new(sizeof(*conn));
    conn->stream = stream;
    conn->reader.payload_bytes_max = PEER_SMALL_FRAME_MAX;
    stream_set_handlers(stream, &inbound_handlers, conn);
    conn->inbound = peer_inbound_accepted(uv->peers, conn);
}

static void on_inbound_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct peer_conn *conn = ctx;
    enum error error = frame_reader_feed(&conn->reader, bytes, on_inbound_frame, conn);
    if (error != ERR_OK && error != ERR_CANCELLED) {
        CHECK(stream == conn->stream);
        peer_inbound_too_large(conn->inbound);
    }
}

static bool on_inbound_frame(uint8_t type, struct slice payload, void *ctx)
{
    struct peer_conn *conn = ctx;
    if (!peer_inbound_frame(conn->inbound, type, payload)) {
        return false;
    }
    if (peer_inbound_is_known(conn->inbound)) {
        conn->reader.payload_bytes_max = 0; /* any frame of the protocol */
    }
    return true;
}

static void
on_inbound_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    (void)reason;
    (void)detail;
    struct peer_conn *conn = ctx;
    peer_inbound_closed(conn->inbound);
    conn_free(conn);
}

/* --- what we dial -----------------------------------------------------------------------------
 */

static void on_link_open(struct stream *stream, void *ctx)
{
    (void)stream;
    const struct peer_conn *conn = ctx;
    peer_link_opened(conn->link);
}

static void on_link_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct peer_conn *conn = ctx;
    enum error error = frame_reader_feed(&conn->reader, bytes, on_link_frame, conn);
    if (error != ERR_OK && error != ERR_CANCELLED) {
        stream_close(stream);
    }
}

static bool on_link_frame(uint8_t type, struct slice payload, void *ctx)
{
    const struct peer_conn *conn = ctx;
    return peer_link_frame(conn->link, type, payload);
}

static void
on_link_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    struct peer_conn *conn = ctx;
    const struct peer_end end = {
        .refused = reason == STREAM_REFUSED, .why = stream_reason_name(reason), .detail = detail};
    CHECK(conn->stream == stream);
    peer_link_closed(conn->link, &end);
    conn_free(conn);
}

static void conn_free(struct peer_conn *conn)
{
    frame_reader_deinit(&conn->reader);
    mem_free(conn);
}

/* --- struct peers_io --------------------------------------------------------------------------
 */

static uint64_t now_ns(void *ctx)
{
    (void)ctx;
    return uv_hrtime();
}

static void arm_timer(void *ctx, uint64_t deadline_ms)
{
    struct peers_uv *uv = ctx;
    if (deadline_ms == UINT64_MAX) {
        CHECK(uv_timer_stop(&uv->timer) == 0);
        return;
    }
    uint64_t now_ms = uv_hrtime() / NS_PER_MS;
    uv_update_time(uv->timer.loop);
    CHECK(uv_timer_start(
              &uv->timer, on_timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0) == 0);
}

static void on_timer(uv_timer_t *timer)
{
    const struct peers_uv *uv = timer->data;
    peers_timer(uv->peers);
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static enum error dial(void *ctx,
                       struct peer_link *link,
                       enum wire_lane lane,
                       const char *address,
                       struct peer_conn **conn_out)
{
    const struct peers_uv *uv = ctx;
    const struct stream_options options = {
        .tls = uv->tls,
        .tls_role = TLS_CLIENT,
        .alpn = PEER_ALPN,
        .peer_path_prefix = "/member/",
        .handshake_timeout_ms = DIAL_MS,
        .user_timeout_ms = UNACKNOWLEDGED_MS,
        .write_queue_bytes_max =
            lane == WIRE_LANE_HEARTBEAT ? (size_t)QUEUE_HEARTBEATS_BYTES : (size_t)QUEUE_BYTES,
    };
    struct stream *stream = NULL;
    TRY(stream_connect(uv->net, address, &options, &stream));
    struct peer_conn *conn = mem_new(sizeof(*conn));
    conn->stream = stream;
    conn->link = link;
    conn->reader.payload_bytes_max = PEER_SMALL_FRAME_MAX;
    stream_set_handlers(stream, &link_handlers, conn);
    *conn_out = conn;
    return ERR_OK;
}

static enum error write_frame(struct peer_conn *conn, uint8_t type, struct slice payload)
{
    return frame_write(conn->stream, type, &payload, 1);
}

static size_t queued_bytes(const struct peer_conn *conn)
{
    return stream_queued_bytes(conn->stream);
}

static struct peer_party party(const struct peer_conn *conn)
{
    const char *identity = stream_peer(conn->stream);
    return (struct peer_party){.identity = identity,
                               .path = tls_identity_path(identity),
                               .address = stream_peer_address(conn->stream)};
}

static void close_conn(struct peer_conn *conn)
{
    stream_close(conn->stream);
}

static void finish(struct peer_conn *conn)
{
    stream_finish(conn->stream);
}

static void forget(struct peer_conn *conn)
{
    stream_forget(conn->stream);
    conn_free(conn);
}
