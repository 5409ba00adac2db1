/* SPDX-License-Identifier: Apache-2.0 */
/* The links of a node to the others: its own, and what they tell it. */
#include "node/node_internal.h"

#include "base/log.h"

static void on_message(struct raft_message *message, void *ctx);
static void on_dead(struct member_id peer, void *ctx);
static void on_alive(struct member_id peer, void *ctx);
static void on_refused_for_good(const char *peer, const char *why, void *ctx);
static void on_stranger(struct member_id id, void *ctx);
static void on_vouched(const struct command_member_vouched *vouched, void *ctx);

void node_links_start(struct node *node)
{
    const struct peers_options options = {
        .io = node->core.links,
        .io_ctx = node->core.links_ctx,
        .config = node->config,
        .process_incarnation = node->core.incarnation,
        .command_level = COMMAND_LEVEL,
        .vouch_hint = node->core.vouch_hint,
        .handlers = {.on_message = on_message,
                     .on_dead = on_dead,
                     .on_alive = on_alive,
                     .on_refused_for_good = on_refused_for_good,
                     .on_stranger = on_stranger,
                     .on_vouched = on_vouched},
        .ctx = node,
    };
    node->peers = peers_new(&options);
}

static void on_message(struct raft_message *message, void *ctx)
{
    node_receive(ctx, message);
}

static void on_dead(struct member_id peer, void *ctx)
{
    node_peer_is(ctx, peer, false);
}

static void on_alive(struct member_id peer, void *ctx)
{
    node_peer_is(ctx, peer, true);
}

/* Others of its kind might be enough to make a leader of what was left behind: it ends, and ends
 * again at each start, with the same words. */
static void on_refused_for_good(const char *peer, const char *why, void *ctx)
{
    log_event(LOG_ERROR, "member.refused_for_good", "by=%s why=%s", peer, log_quote(why));
    node_end(ctx, NODE_EXIT_REFUSED);
}

static void on_stranger(struct member_id id, void *ctx)
{
    node_stranger_spoke(ctx, id);
}

static void on_vouched(const struct command_member_vouched *vouched, void *ctx)
{
    node_was_told_vouched(ctx, vouched);
}
