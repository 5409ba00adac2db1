/* SPDX-License-Identifier: Apache-2.0 */
/* See node.h. Here: the life of a node's core, what it is told from outside, and what it tells of
 * itself. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

static void
on_heard(struct node *node, const struct node_event *event, const struct raft_update *update);

struct node *node_new(const struct node_core *core)
{
    struct node *node = mem_new(sizeof(*node));
    node->core = *core;
    node->io = core->io;
    node->ctx = core->ctx;
    node->config = core->config;
    node->controller = controller_new();
    node->proposals = proposals_new();
    TAILQ_INIT(&node->observers);
    LIST_INIT(&node->port_ends);
    node_members_start(node);
    node_links_start(node);
    return node;
}

void node_start(struct node *node)
{
    node_vouched_start(node);
    node_office_load(node);
    node_post_type(node, RAFT_EVENT_TICK);
    node_run(node);
}

void node_stop(struct node *node)
{
    node->closing = true;
    peers_free(node->peers);
    node->peers = NULL;
}

void node_free(struct node *node)
{
    if (node->peers != NULL) {
        peers_free(node->peers);
    }
    node_snapshot_stop(node);
    node_events_deinit(&node->events);
    node_requests_deinit(node);
    node_disk_deinit(node);
    node_office_deinit(node);
    if (node->raft != NULL) {
        raft_free(node->raft);
    }
    controller_free(node->controller);
    proposals_free(node->proposals);
    node_ports_deinit(node);
    mem_free(node);
}

void node_query(struct node *node, applier_query_fn run, applier_done_fn done, void *ctx)
{
    node->io->query(node->ctx, run, done, ctx);
}

void node_view(const struct node *node, struct node_view *view_out)
{
    bool leads = node->role == RAFT_LEADER;
    const struct node_disk_look look = node_look_at_disk(node);
    uint64_t now_ms = node_now_ms(node);
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
        .apply_backlog = node->submitted - node->applied,
        .store_used_bytes = node->store_used_bytes,
        .store_map_bytes = node->store_map_bytes,
        .wal_batches = look.batches,
        .disk_stalled_ms = node->watch.stalled_ms,
        .space_free_bytes = look.free_bytes,
        .snapshot_waits_for = node_snapshot_waits_for(node),
        .space_is_low = look.is_low,
        .wal_has_room = node->backlog.count == 0 && node->io->log_has_room(node->ctx),
        .quarantined = node->quarantine.active,
        .diverged = divergence_count(&node->divergence),
        .proposals_waiting = proposals_count(node->proposals) + node->proposals_new_count,
    };
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

uint64_t node_now_ms(const struct node *node)
{
    return node->io->now_ms(node->ctx);
}

struct node_disk_look node_look_at_disk(const struct node *node)
{
    struct node_disk_look look;
    node->io->look_at_disk(node->ctx, &look);
    return look;
}

void node_receive(struct node *node, struct raft_message *message)
{
    if (member_id_equal(message->from, node->leader)) {
        node->leader_heard_ms = node_now_ms(node);
    }
    node_voices_heard(node, message);
    const struct node_event event = {
        .core.type = RAFT_EVENT_RECEIVE, .message = *message, .stepped = on_heard};
    *message = (struct raft_message){0};
    node_post(node, &event);
    node_run(node);
}

static void
on_heard(struct node *node, const struct node_event *event, const struct raft_update *update)
{
    (void)update;
    node_quarantine_heard(node, &event->message);
}

void node_peer_is(struct node *node, struct member_id peer, bool alive)
{
    const struct node_event event = {
        .core = {.type = alive ? RAFT_EVENT_PEER_ALIVE : RAFT_EVENT_PEER_DEAD, .peer = peer}};
    node_post(node, &event);
    node_run(node);
}

void node_die(struct node *node, const char *event, enum error error, const char *reason)
{
    log_event(LOG_ERROR, event, "error=%s why=%s", error_name(error), log_quote(reason));
    node_end(node, 0);
}

void node_end(struct node *node, int exit_code)
{
    node->closing = true;
    node->io->die(node->ctx, exit_code);
}
