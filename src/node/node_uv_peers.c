/* SPDX-License-Identifier: Apache-2.0 */
/* The links of a node to the others: what it asks of them, and what they tell it. */
#include "node/node_uv.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "state/command.h"

#include <stdio.h>
#include <unistd.h>

static void on_message(struct raft_message *message, void *ctx);
static void on_dead(struct member_id peer, void *ctx);
static void on_alive(struct member_id peer, void *ctx);
static void on_refused_for_good(const char *peer, const char *why, void *ctx);
static void on_stranger(struct member_id id, void *ctx);
static void on_vouched(const struct command_member_vouched *vouched, void *ctx);

/* Before the links are there, and once they are let go, nothing is done. */
static struct peers *peers_of(void *ctx)
{
    const struct node_uv *uv = ctx;
    return uv->peers;
}

static void send_message(void *ctx, const struct raft_message *message)
{
    if (peers_of(ctx) != NULL) {
        peers_send(peers_of(ctx), message);
    }
}

static void set(void *ctx, const struct member *members, uint32_t count)
{
    if (peers_of(ctx) != NULL) {
        peers_set(peers_of(ctx), members, count);
    }
}

static void set_cluster_epoch(void *ctx, uint32_t cluster_epoch_plus_1)
{
    if (peers_of(ctx) != NULL) {
        peers_set_cluster_epoch(peers_of(ctx), cluster_epoch_plus_1);
    }
}

static void set_position(void *ctx, uint64_t term, uint64_t index)
{
    if (peers_of(ctx) != NULL) {
        const struct peers_position position = {.term = term, .index = index};
        peers_set_blank(peers_of(ctx), term == 0);
        peers_set_position(peers_of(ctx), position);
    }
}

static void set_reluctant(void *ctx, bool reluctant)
{
    if (peers_of(ctx) != NULL) {
        peers_set_reluctant(peers_of(ctx), reluctant);
    }
}

static void set_vouched(void *ctx, const struct voices_identity *vouched, uint32_t count)
{
    if (peers_of(ctx) != NULL) {
        peers_set_vouched(peers_of(ctx), vouched, count);
    }
}

static void refuse_strangers(void *ctx, bool refuse)
{
    if (peers_of(ctx) != NULL) {
        peers_refuse_strangers(peers_of(ctx), refuse);
    }
}

static void refuse_for_good(void *ctx, struct member_id id)
{
    if (peers_of(ctx) != NULL) {
        peers_refuse_for_good(peers_of(ctx), id);
    }
}

static void stranger_is(void *ctx, struct member_id id, bool gone)
{
    if (peers_of(ctx) != NULL) {
        peers_stranger_is(peers_of(ctx), id, gone);
    }
}

static void tick(void *ctx)
{
    if (peers_of(ctx) != NULL) {
        peers_tick(peers_of(ctx), clock_monotonic_ms());
    }
}

static bool
tell_vouched(void *ctx, struct member_id to, const struct command_member_vouched *vouched)
{
    return peers_of(ctx) != NULL && peers_tell_vouched(peers_of(ctx), to, vouched);
}

static bool is_reluctant(void *ctx, struct member_id id)
{
    return peers_of(ctx) != NULL && peers_is_reluctant(peers_of(ctx), id);
}

static bool has_ended(void *ctx, struct member_id id)
{
    struct peer_status statuses[PEERS_MAX];
    uint32_t count = peers_of(ctx) == NULL ? 0 : peers_status(peers_of(ctx), statuses);
    for (uint32_t i = 0; i < count; i++) {
        if (member_id_equal(statuses[i].id, id)) {
            return !statuses[i].heartbeat_open;
        }
    }
    return false;
}

static uint32_t command_level(void *ctx, struct member_id id)
{
    return peers_of(ctx) == NULL ? 0 : peers_command_level(peers_of(ctx), id);
}

static uint32_t rtt_longest_us(void *ctx)
{
    return peers_of(ctx) == NULL ? 0 : peers_rtt_longest_us(peers_of(ctx));
}

void node_uv_peers_fill(struct node_io *io)
{
    io->links = (struct node_links){
        .send = send_message,
        .set = set,
        .set_cluster_epoch = set_cluster_epoch,
        .set_position = set_position,
        .set_reluctant = set_reluctant,
        .set_vouched = set_vouched,
        .refuse_strangers = refuse_strangers,
        .refuse_for_good = refuse_for_good,
        .stranger_is = stranger_is,
        .tick = tick,
        .tell_vouched = tell_vouched,
        .is_reluctant = is_reluctant,
        .has_ended = has_ended,
        .command_level = command_level,
        .rtt_longest_us = rtt_longest_us,
    };
}

enum error node_uv_peers_start(struct node_uv *uv, struct reason *reason)
{
    uint64_t incarnation[2];
    (void)snprintf(uv->vouch_hint,
                   sizeof(uv->vouch_hint),
                   "indaba member vouch --dir %s",
                   uv->options.config->dir);
    id128_random(&incarnation[0], &incarnation[1]);
    const struct peers_options options = {
        .net = uv->options.net,
        .tls = uv->options.tls,
        .config = uv->options.config,
        .process_incarnation = incarnation[0] | 1,
        .command_level = COMMAND_LEVEL,
        .vouch_hint = uv->vouch_hint,
        .handlers = {.on_message = on_message,
                     .on_dead = on_dead,
                     .on_alive = on_alive,
                     .on_refused_for_good = on_refused_for_good,
                     .on_stranger = on_stranger,
                     .on_vouched = on_vouched},
        .ctx = uv,
    };
    enum error error = peers_new(&options, reason, &uv->peers);
    if (error != ERR_OK) {
        reason_say(reason, "listen.peer %s: %s", uv->options.config->listen_peer, reason->text);
    }
    return error;
}

static void on_message(struct raft_message *message, void *ctx)
{
    const struct node_uv *uv = ctx;
    node_receive(uv->node, message);
}

static void on_dead(struct member_id peer, void *ctx)
{
    const struct node_uv *uv = ctx;
    node_peer_is(uv->node, peer, false);
}

static void on_alive(struct member_id peer, void *ctx)
{
    const struct node_uv *uv = ctx;
    node_peer_is(uv->node, peer, true);
}

/* Others of its kind might be enough to make a leader of what was left behind: it ends, and ends
 * again at each start, with the same words. */
static void on_refused_for_good(const char *peer, const char *why, void *ctx)
{
    (void)ctx;
    log_event(LOG_ERROR, "member.refused_for_good", "by=%s why=%s", peer, log_quote(why));
    (void)log_flush(LOG_FATAL_MS);
    net_shutdown_sockets();
    _exit(1);
}

static void on_stranger(struct member_id id, void *ctx)
{
    const struct node_uv *uv = ctx;
    node_stranger_spoke(uv->node, id);
}

static void on_vouched(const struct command_member_vouched *vouched, void *ctx)
{
    const struct node_uv *uv = ctx;
    node_was_told_vouched(uv->node, vouched);
}
