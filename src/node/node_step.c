/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that steps the consensus core: events are taken one at a time, and all that an
 * update asks for is done before the next, in the order that raft/types.h demands: the write goes
 * to the disk, messages leave, committed entries go to the applier; then snapshots, reads, office,
 * and last whoever posted the event. None of them can step: they post (node_events.h). */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"

static void step(struct node *node, const struct node_event *event);
static void hand_out(struct node *node, const struct raft_update *update);
static void tell_position(struct node *node, const struct raft_update *update);
static void send_message(struct node *node, const struct raft_message *message);
static void hand_out_committed(struct node *node, uint64_t commit);
static void refuse_regressed(struct node *node, struct member_id id);

void node_run(struct node *node)
{
    if (node->running) {
        return; /* what was posted is taken by the round below */
    }
    node->running = true;
    struct node_event event;
    while (!node->closing && node_events_take(&node->events, &event)) {
        step(node, &event);
        node_event_deinit(&event);
    }
    node->running = false;
}

void node_post(struct node *node, const struct node_event *event)
{
    node_events_put(&node->events, event);
}

void node_post_type(struct node *node, enum raft_event_type type)
{
    const struct node_event event = {.core.type = type};
    node_post(node, &event);
}

void node_timer(struct node *node)
{
    node_post_type(node, RAFT_EVENT_TICK);
    node_run(node);
}

static void step(struct node *node, const struct node_event *event)
{
    struct raft_update update;
    struct raft_event core = event->core;
    core.now_ms = node_now_ms(node);
    raft_step(node->raft, &core, &update);
    hand_out(node, &update);
    if (event->stepped != NULL) {
        event->stepped(node, event, &update);
    }
}

static void hand_out(struct node *node, const struct raft_update *update)
{
    if (update->write.seq != 0) {
        node_disk_submit(node, &update->write);
    }
    tell_position(node, update);
    for (uint32_t i = 0; i < update->messages_count; i++) {
        send_message(node, &update->messages[i]);
    }
    node->membership.set_again |= update->configuration_changed;
    hand_out_committed(node, update->commit);
    node_snapshot_update(node, update);
    if (!member_id_is_none(update->peer_regressed)) {
        refuse_regressed(node, update->peer_regressed);
    }
    node_requests_reads_ready(node, update);
    if (update->leadership_changed) {
        node_office_changed(node, update);
    }
    node->io->arm_timer(node->ctx, update->next_deadline_ms);
}

static void tell_position(struct node *node, const struct raft_update *update)
{
    const struct peers_position position = {.term = update->term, .index = update->commit};
    peers_set_blank(node->peers, update->term == 0);
    peers_set_position(node->peers, position);
}

/* Heartbeats also say what state a majority holds. */
static void send_message(struct node *node, const struct raft_message *message)
{
    if (message->type != RAFT_HEARTBEAT) {
        peers_send(node->peers, message);
        return;
    }
    struct raft_message heartbeat = *message;
    divergence_tell(&node->divergence, message->to, &heartbeat.heartbeat);
    peers_send(node->peers, &heartbeat);
}

static void hand_out_committed(struct node *node, uint64_t commit)
{
    CHECK(commit >= node->commit);
    node->commit = commit;
    while (node->submitted < commit) {
        struct raft_entry entries[APPLIER_BATCH_MAX];
        uint32_t count = 0;
        while (count < APPLIER_BATCH_MAX && node->submitted + count < commit) {
            const struct raft_entry *entry = raft_entry_at(node->raft, node->submitted + count + 1);
            CHECK(entry != NULL);
            entries[count++] = *entry;
        }
        node->io->apply(node->ctx, entries, count);
        node->submitted += count;
    }
    (void)node_requests_submitted(node);
}

static void refuse_regressed(struct node *node, struct member_id id)
{
    const struct member *peer = node_member(node, id);
    log_event(
        LOG_ERROR,
        "peer.regressed",
        "peer=%s hint=%s",
        peer == NULL ? "-" : peer->name,
        log_quote("it lost entries that it had acknowledged; it gets nothing any more until it "
                  "joins as a new member"));
    peers_refuse_for_good(node->peers, id);
}
