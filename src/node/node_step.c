/* SPDX-License-Identifier: Apache-2.0 */
/* One event of the consensus core, and everything its update asks for, in the order that raft/
 * types.h demands: the write goes to the disk, messages leave, committed entries go to the applier.
 * Never entered twice: whatever a callback wants meanwhile waits in a queue (node_requests.c). */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

static void send_message(struct node *node, const struct raft_message *message);
static void hand_out_committed(struct node *node, uint64_t commit);
static void refuse_regressed(struct node *node, struct member_id id);
static void schedule(struct node *node, uint64_t deadline_ms);

void node_step(struct node *node, const struct raft_event *event, struct raft_update *update_out)
{
    CHECK(!node->stepping);
    CHECK(!node->closing);
    node->stepping = true;
    raft_step(node->raft, event, update_out);
    if (update_out->write.seq != 0) {
        node_disk_submit(node, &update_out->write);
    }
    if (node->peers != NULL) {
        const struct peers_position position = {.term = update_out->term,
                                                .index = update_out->commit};
        peers_set_blank(node->peers, update_out->term == 0);
        peers_set_position(node->peers, position);
    }
    for (uint32_t i = 0; i < update_out->messages_count; i++) {
        if (node->peers != NULL) {
            send_message(node, &update_out->messages[i]);
        }
    }
    node->membership.set_again |= update_out->configuration_changed;
    hand_out_committed(node, update_out->commit);
    node_snapshot_update(node, update_out);
    if (!member_id_is_none(update_out->peer_regressed)) {
        refuse_regressed(node, update_out->peer_regressed);
    }
    node_requests_reads_ready(node, update_out);
    if (update_out->leadership_changed) {
        node_office_changed(node, update_out);
    }
    schedule(node, update_out->next_deadline_ms);
    node->stepping = false;
}

void node_on_timer(uv_timer_t *timer)
{
    struct node *node = timer->data;
    struct raft_update update;
    const struct raft_event event = {.type = RAFT_EVENT_TICK, .now_ms = clock_monotonic_ms()};
    node_step(node, &event, &update);
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
        applier_apply(node->applier, entries, count);
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

static void schedule(struct node *node, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX) {
        CHECK(uv_timer_stop(&node->timer) == 0);
        return;
    }
    uint64_t now_ms = clock_monotonic_ms();
    uv_update_time(node->timer.loop);
    CHECK(uv_timer_start(
              &node->timer, node_on_timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0) ==
          0);
}
