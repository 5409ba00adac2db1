/* SPDX-License-Identifier: Apache-2.0 */
/* See node.h. Here: the life of a node, and what it tells of itself. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void start_handles(struct node *node);
static enum error start_peers(struct node *node, struct reason *reason);
static void on_message(struct raft_message *message, void *ctx);
static void on_dead(struct member_id peer, void *ctx);
static void on_alive(struct member_id peer, void *ctx);
static void on_refused_for_good(const char *peer, const char *why, void *ctx);
static void on_stranger(struct member_id id, void *ctx);
static void on_vouched(const struct command_member_vouched *vouched, void *ctx);
static void step_peer(struct node *node, enum raft_event_type type, struct member_id peer);
static void close_handle(struct node *node, uv_handle_t *handle);
static void on_handle_closed(uv_handle_t *handle);

enum error
node_open(const struct node_options *options, struct reason *reason, struct node **node_out)
{
    struct node *node = mem_new(sizeof(*node));
    node->options = *options;
    node->config = options->config;
    node->controller = controller_new();
    TAILQ_INIT(&node->observers);
    node->proposals = proposals_new();
    check_set_hook(net_shutdown_sockets);

    enum error error = node_recover(node, reason);
    if (error != ERR_OK) {
        controller_free(node->controller);
        proposals_free(node->proposals);
        mem_free(node);
        return error;
    }
    node_members_start(node);
    start_handles(node);
    error = start_peers(node, reason);
    if (error != ERR_OK) {
        node_close(node);
        return error;
    }
    node_office_load(node);
    struct raft_update update;
    const struct raft_event tick = {.type = RAFT_EVENT_TICK, .now_ms = clock_monotonic_ms()};
    node_step(node, &tick, &update);
    *node_out = node;
    return ERR_OK;
}

void node_register_metrics(void)
{
    node_disk_register_metrics();
    node_voices_register_metrics();
    node_office_register_metrics();
}

void node_close(struct node *node)
{
    node->closing = true;
    if (node->peers != NULL) {
        peers_free(node->peers);
        node->peers = NULL;
    }
    /* The store first: its last commit asks the log how far it is durable. */
    node_snapshot_stop(node);
    applier_stop(node->applier);
    wal_writer_stop(node->writer);
    space_free(node->space);
    member_dir_close(node->dir);
    node_requests_deinit(node);
    node_disk_deinit(node);
    raft_free(node->raft);
    controller_free(node->controller);
    proposals_free(node->proposals);
    node_port_ends_deinit(node);
    check_set_hook(NULL);
    net_before_sleep_no_more(node->options.net, &node->sleeper);
    close_handle(node, (uv_handle_t *)&node->timer);
    close_handle(node, (uv_handle_t *)&node->tick);
    close_handle(node, (uv_handle_t *)&node->durable);
}

void node_query(struct node *node, applier_query_fn run, applier_done_fn done, void *ctx)
{
    applier_query(node->applier, run, done, ctx);
}

void node_view(const struct node *node, struct node_view *view_out)
{
    bool leads = node->role == RAFT_LEADER;
    uint64_t now_ms = clock_monotonic_ms();
    *view_out = (struct node_view){
        .role = node->role,
        .term = node->term,
        .leader = member_id_is_none(node->leader) ? NULL : node_member(node, node->leader),
        .commit = node->commit,
        .applied = node->applied,
        .state_hash = node->state_hash,
        .leader_heard_age_ms = leads ? 0 : now_ms - node->leader_heard_ms,
        .loaded = node->loaded,
        .initialized = node->initialized,
        .in_office = node->in_office,
        .apply_backlog = applier_backlog(node->applier),
        .store_used_bytes = node->store_used_bytes,
        .store_map_bytes = node->store_map_bytes,
        .wal_batches = wal_writer_batches(node->writer),
        .disk_stalled_ms = node->watch.stalled_ms,
        .space_free_bytes = space_free_bytes(node->space),
        .snapshot_waits_for = node_snapshot_waits_for(node),
        .space_is_low = space_is_low(node->space),
        .wal_has_room = node->backlog.count == 0 && wal_writer_has_room(node->writer),
        .quarantined = node->quarantine.active,
        .diverged = divergence_count(&node->divergence),
        .proposals_waiting = proposals_count(node->proposals) + node->proposals_new_count,
    };
}

void node_release(struct node *node)
{
    CHECK(node->handles_open > 0);
    node->handles_open--;
    if (node->handles_open == 0) {
        uv_sem_destroy(&node->snapshots.taken);
        mem_free(node);
    }
}

const char *node_role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "follower";
    case RAFT_PRE_CANDIDATE:
        return "pre_candidate";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_LEADER:
        return "leader";
    }
    return "unknown";
}

const struct member_config *node_config(const struct node *node)
{
    return node->config;
}

const struct raft *node_raft(const struct node *node)
{
    return node->raft;
}

const struct peers *node_peers(const struct node *node)
{
    return node->peers;
}

struct controller *node_controller(struct node *node)
{
    return node->controller;
}

void node_set_sessions(struct node *node, const struct node_sessions *sessions)
{
    node->sessions = *sessions;
}

struct slice node_replies(const struct node *node)
{
    return node->replies;
}

void node_die(const char *event, enum error error, const char *reason)
{
    log_event(LOG_ERROR, event, "error=%s why=%s", error_name(error), log_quote(reason));
    (void)log_flush(LOG_FATAL_MS); /* the log may be a socket, too */
    net_shutdown_sockets();
    abort();
}

static void start_handles(struct node *node)
{
    uv_loop_t *loop = net_loop(node->options.net);
    CHECK(uv_timer_init(loop, &node->timer) == 0);
    CHECK(uv_timer_init(loop, &node->tick) == 0);
    node->timer.data = node;
    node->tick.data = node;
    node->handles_open += 2;
    node->sleeper = (struct net_sleeper){.bring = node_requests_flush, .ctx = node};
    net_before_sleep(node->options.net, NET_STAGE_CORE, &node->sleeper);
    CHECK(uv_timer_start(
              &node->tick, node_office_on_tick, CONTROLLER_TICK_MS, CONTROLLER_TICK_MS) == 0);
}

static enum error start_peers(struct node *node, struct reason *reason)
{
    uint64_t incarnation[2];
    (void)snprintf(node->vouch_hint,
                   sizeof(node->vouch_hint),
                   "indaba member vouch --dir %s",
                   node->config->dir);
    id128_random(&incarnation[0], &incarnation[1]);
    const struct peers_options options = {
        .net = node->options.net,
        .tls = node->options.tls,
        .config = node->config,
        .process_incarnation = incarnation[0] | 1,
        .command_level = COMMAND_LEVEL,
        .vouch_hint = node->vouch_hint,
        .handlers = {.on_message = on_message,
                     .on_dead = on_dead,
                     .on_alive = on_alive,
                     .on_refused_for_good = on_refused_for_good,
                     .on_stranger = on_stranger,
                     .on_vouched = on_vouched},
        .ctx = node,
    };
    enum error error = peers_new(&options, reason, &node->peers);
    if (error != ERR_OK) {
        reason_say(reason, "listen.peer %s: %s", node->config->listen_peer, reason->text);
        return error;
    }
    node_load_vouched(node);
    return ERR_OK;
}

static void on_message(struct raft_message *message, void *ctx)
{
    struct node *node = ctx;
    uint64_t now_ms = clock_monotonic_ms();
    if (member_id_equal(message->from, node->leader)) {
        node->leader_heard_ms = now_ms;
    }
    node_voices_heard(node, message);
    struct raft_update update;
    const struct raft_event event = {
        .type = RAFT_EVENT_RECEIVE, .now_ms = now_ms, .message = message};
    node_step(node, &event, &update);
    node_quarantine_heard(node, message);
}

static void on_dead(struct member_id peer, void *ctx)
{
    step_peer(ctx, RAFT_EVENT_PEER_DEAD, peer);
}

static void on_alive(struct member_id peer, void *ctx)
{
    step_peer(ctx, RAFT_EVENT_PEER_ALIVE, peer);
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
    node_voices_look_up(ctx, id);
}

static void on_vouched(const struct command_member_vouched *vouched, void *ctx)
{
    node_vouched_heard(ctx, vouched);
}

static void step_peer(struct node *node, enum raft_event_type type, struct member_id peer)
{
    struct raft_update update;
    const struct raft_event event = {.type = type, .now_ms = clock_monotonic_ms(), .peer = peer};
    node_step(node, &event, &update);
}

static void close_handle(struct node *node, uv_handle_t *handle)
{
    (void)node;
    uv_close(handle, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    node_release(handle->data);
}
