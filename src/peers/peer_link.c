/* SPDX-License-Identifier: Apache-2.0 */
/* One outgoing connection to a peer: dial, handshake, and dial again. A link that was open and ends
 * is redialled at once, since the answer to that (refused or not) is evidence; after that with a
 * backoff. */
#include "peers/peers_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static void dial(struct peer_link *link);
static void cannot_dial(struct peer_link *link);
static void on_redial(uv_timer_t *timer);
static void on_open(struct stream *stream, void *ctx);
static void on_read(struct stream *stream, struct slice bytes, void *ctx);
static bool on_frame(uint8_t type, struct slice payload, void *ctx);
static enum error take_handshake(struct peer_link *link, struct slice payload, char *why);
static enum error
check_speaker(const struct peer_link *link, const struct wire_handshake *handshake, char *why);
static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void on_timer_closed(uv_handle_t *handle);

static const struct stream_handlers link_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

void peer_link_start(struct peer_link *link)
{
    struct peers *peers = link->peer->peers;
    CHECK(uv_timer_init(net_loop(peers->options.net), &link->redial) == 0);
    link->redial.data = link;
    link->backoff_ms = PEER_REDIAL_MS_MIN;
    dial(link);
}

void peer_link_stop(struct peer_link *link)
{
    if (link->stream != NULL) {
        stream_forget(link->stream);
        link->stream = NULL;
        link->open = false;
    }
    frame_reader_deinit(&link->reader);
    uv_close((uv_handle_t *)&link->redial, on_timer_closed);
}

static void dial(struct peer_link *link)
{
    CHECK(link->stream == NULL);
    CHECK(!link->open);
    const struct peers_options *options = &link->peer->peers->options;
    const struct stream_options stream = {
        .tls = options->tls,
        .tls_role = TLS_CLIENT,
        .alpn = PEER_ALPN,
        .peer_path_prefix = "/member/",
        .handshake_timeout_ms = 2000,
        .user_timeout_ms = 5000,
        .write_queue_bytes_max =
            link->lane != WIRE_LANE_HEARTBEAT ? (size_t)16 * 1024 * 1024 : (size_t)256 * 1024,
    };
    frame_reader_deinit(&link->reader);
    link->reader = (struct frame_reader){.payload_bytes_max = PEER_SMALL_FRAME_MAX};
    if (stream_connect(options->net, link->peer->address, &stream, &link->stream) != ERR_OK) {
        cannot_dial(link);
        return;
    }
    stream_set_handlers(link->stream, &link_handlers, link);
}

/* Nobody takes in such an address, but what a log or a handshake says is not ours: the peer is as
 * one that does not answer, until its record has another one. */
static void cannot_dial(struct peer_link *link)
{
    struct peer *peer = link->peer;
    static const char WHY[] =
        "its peer address is not numeric: `indaba member move` gives it another";
    if (strcmp(peer->detail, WHY) != 0) {
        log_event(LOG_ERROR,
                  "peer.bad_address",
                  "peer=%s address=%s hint=%s",
                  peer->name,
                  log_quote(peer->address),
                  log_quote(WHY));
        (void)snprintf(peer->detail, sizeof(peer->detail), "%s", WHY);
    }
    CHECK(uv_timer_start(&link->redial, on_redial, PEER_REDIAL_MS_MAX, 0) == 0);
}

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void on_open(struct stream *stream, void *ctx)
{
    struct peer_link *link = ctx;
    const struct peer_refusal none = {0};
    link->said_blank = link->peer->peers->blank;
    if (peers_write_handshake(stream, link->peer->peers, link->lane, &none) != ERR_OK) {
        stream_close(stream);
    }
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct peer_link *link = ctx;
    enum error error = frame_reader_feed(&link->reader, bytes, on_frame, link);
    if (error != ERR_OK && error != ERR_CANCELLED) {
        stream_close(stream);
    }
}

/* What comes back is the handshake, and answers to pings and questions. */
static bool on_frame(uint8_t type, struct slice payload, void *ctx)
{
    struct peer_link *link = ctx;
    char why[WIRE_REFUSAL_SIZE + 16] = "an unexpected frame";
    if (type == PEER_FRAME_HANDSHAKE && !link->open &&
        take_handshake(link, payload, why) == ERR_OK) {
        return true;
    }
    if (type == PEER_FRAME_PONG && link->open && peer_ping_take(link, payload) == ERR_OK) {
        return true;
    }
    if (type == PEER_FRAME_ANSWER && link->open && peer_stranger_take(link, payload) == ERR_OK) {
        return true;
    }
    log_event(LOG_WARN,
              "peer.handshake_failed",
              "peer=%s address=%s why=%s",
              link->peer->name,
              link->peer->address,
              log_quote(why));
    stream_close(link->stream);
    return false;
}

static enum error take_handshake(struct peer_link *link, struct slice payload, char *why)
{
    struct wire_handshake handshake;
    struct peer *peer = NULL;
    TRY(wire_handshake_decode(payload, &handshake));
    TRY(check_speaker(link, &handshake, why));
    if (handshake.refusal[0] != '\0') {
        (void)snprintf(why, WIRE_REFUSAL_SIZE, "%s", handshake.refusal);
        /* A young member may have been taken in while this handshake was on its way: then what it
         * said of itself is no longer true, and the next one says so. */
        bool outdated = link->said_blank && !link->peer->peers->blank;
        if (handshake.refused_for_good && !outdated) {
            const struct peers_options *options = &link->peer->peers->options;
            options->handlers.on_refused_for_good(link->peer->name, why, options->ctx);
        }
        return ERR_REFUSED;
    }
    struct peer_refusal refusal = {0};
    enum error error = peers_check_handshake(
        link->peer->peers, &handshake, stream_peer(link->stream), &refusal, &peer);
    if (error != ERR_OK) {
        (void)snprintf(why, WIRE_REFUSAL_SIZE, "%s", refusal.text);
        return error;
    }
    CHECK(peer == link->peer);
    link->open = true;
    link->answers_pings = handshake.answers_pings;
    link->names_members = handshake.names_members;
    link->backoff_ms = PEER_REDIAL_MS_MIN;
    log_event(LOG_DEBUG, "peer.open", "peer=%s lane=%d", peer->name, (int)link->lane);
    peer->command_level = handshake.command_level;
    peers_saw_process(peer, handshake.process_incarnation);
    peers_saw_open(peer);
    return ERR_OK;
}

/* Only who was dialled is believed anything: not another member that has the address now, which
 * must dial us to be met as a stranger, and no other cluster's. */
static enum error
check_speaker(const struct peer_link *link, const struct wire_handshake *handshake, char *why)
{
    const struct peer *peer = link->peer;
    if (!cluster_id_equal(handshake->cluster, peer->peers->options.config->cluster)) {
        (void)snprintf(why, WIRE_REFUSAL_SIZE, "a member of another cluster answers there");
        return ERR_WRONG_CLUSTER;
    }
    if (!member_id_equal(handshake->member, peer->id)) {
        (void)snprintf(
            why, WIRE_REFUSAL_SIZE, "member \"%s\" with another id answers there", handshake->name);
        return ERR_WRONG_MEMBER;
    }
    if (!peers_is_identity_of(stream_peer(link->stream), peer->name)) {
        (void)snprintf(why,
                       WIRE_REFUSAL_SIZE,
                       "the certificate there is of %.100s",
                       stream_peer(link->stream));
        return ERR_DENIED;
    }
    return ERR_OK;
}

static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    struct peer_link *link = ctx;
    CHECK(link->stream == stream);
    bool was_open = link->open;
    link->stream = NULL;
    link->open = false;
    if (link->lane == WIRE_LANE_HEARTBEAT) {
        peer_ping_link_ended(link->peer);
    }
    (void)snprintf(link->peer->detail,
                   sizeof(link->peer->detail),
                   "%s: %s",
                   stream_reason_name(reason),
                   detail == NULL ? "" : detail);
    if (was_open) {
        log_event(LOG_INFO,
                  "peer.lost",
                  "peer=%s lane=%d why=%s",
                  link->peer->name,
                  (int)link->lane,
                  stream_reason_name(reason));
    }
    uint64_t wait_ms = was_open ? 0 : link->backoff_ms;
    if (!was_open) {
        link->backoff_ms =
            link->backoff_ms * 2 > PEER_REDIAL_MS_MAX ? PEER_REDIAL_MS_MAX : link->backoff_ms * 2;
    }
    uv_update_time(link->redial.loop);
    CHECK(uv_timer_start(&link->redial, on_redial, wait_ms, 0) == 0);
    if (reason == STREAM_REFUSED) {
        peers_saw_refusal(link->peer);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct peer_link *link = handle->data;
    peers_timer_closed(link->peer);
}
