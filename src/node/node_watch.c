/* SPDX-License-Identifier: Apache-2.0 */
/* The node's eye on its disk, whether writes still come to an end and whether there is room; and on
 * the members' states, whether they are one.
 *
 * A leader whose disk stalls hands over, but only on evidence that it is this disk alone: an entry
 * that a majority made durable and this disk did not (raft/abdicate.c). While nothing is written
 * there is no such entry, so the disk is probed, and when a probe hangs an empty entry is proposed
 * to see whether the others still can. */
#include "node/node_internal.h"
#include "node/timers_fit.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/space.h"
#include "storage/store.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    TIMERS_REPEAT_MS = 60000
};

static bool store_is_full(const struct node *node);
static void watch_stall(struct node *node, const struct raft_status *status, uint64_t now_ms);
static bool waits_for_evidence(const struct node *node, const struct raft_status *status);
static void ask_the_others(struct node *node);
static void
on_asked(struct node *node, const struct node_event *event, const struct raft_update *update);
static void watch_space(struct node *node);
static void watch_timers(struct node *node, const struct raft_status *status, uint64_t now_ms);
static void watch_states(struct node *node, const struct raft_status *status);
static void watch_ours(struct node *node, const struct raft_status *status, uint64_t now_ms);
static void log_divergence(const struct node *node, const struct raft_peer_status *peer);
static void log_dispute(struct node *node);
static uint64_t mebibytes(uint64_t bytes);

void node_watch_tick(struct node *node)
{
    uint64_t now_ms = node_now_ms(node);
    struct raft_status status;
    raft_status(node->raft, &status);
    watch_stall(node, &status, now_ms);
    if (now_ms - node->watch.looked_ms >= status.election_ms) {
        node->watch.looked_ms = now_ms;
        node->io->probe_disk(node->ctx);
    }
    watch_space(node);
    watch_timers(node, &status, now_ms);
    peers_set_reluctant(node->peers, node_watch_is_reluctant(node));
    watch_states(node, &status);
    watch_ours(node, &status, now_ms);
}

bool node_watch_is_reluctant(const struct node *node)
{
    return node->watch.stalls || node_look_at_disk(node).is_low;
}

bool node_watch_refuses(const struct node *node, enum command_kind kind)
{
    /* The rest decides failovers, or is bounded by these. The key-value service refuses operation
     * by operation (node_space_is_low). */
    return command_kind_grows(kind) && node_space_is_low(node);
}

bool node_space_is_low(const struct node *node)
{
    return node_look_at_disk(node).is_low || store_is_full(node);
}

char *node_space_text(const struct node *node, char text[NODE_SPACE_TEXT_SIZE])
{
    if (store_is_full(node)) {
        (void)snprintf(text,
                       NODE_SPACE_TEXT_SIZE,
                       "the state holds %" PRIu64 " MiB of the %" PRIu64 " MiB that it may ever "
                       "have: nothing that grows is accepted; delete keys or compact their history",
                       mebibytes(node->store_used_bytes),
                       mebibytes(node->store_map_bytes));
        return text;
    }
    (void)snprintf(text,
                   NODE_SPACE_TEXT_SIZE,
                   "member %s has little disk space: %" PRIu64 " MiB free where %s is, and below "
                   "%d MiB (with a reserve of %d MiB beside) nothing that grows is accepted; free "
                   "space or enlarge that file system, the refusals then end by themselves",
                   node->config->name,
                   mebibytes(node_look_at_disk(node).free_bytes),
                   node->config->dir,
                   SPACE_LOW_BYTES >> 20,
                   SPACE_RESERVE_BYTES >> 20);
    return text;
}

/* Before the first batch its figures are zeros, and the store then has room. */
static bool store_is_full(const struct node *node)
{
    return node->store_map_bytes != 0 &&
           store_is_nearly_full(node->store_used_bytes, node->store_map_bytes);
}

static void watch_stall(struct node *node, const struct raft_status *status, uint64_t now_ms)
{
    struct node_watch *watch = &node->watch;
    const struct node_disk_look look = node_look_at_disk(node);
    bool first = watch->progress_ms == 0;
    if (first || !look.busy || look.progress != watch->progress) {
        watch->progress = look.progress;
        watch->progress_ms = now_ms;
    }
    watch->stalled_ms = now_ms - watch->progress_ms;
    bool stalls = watch->stalled_ms >= status->election_ms;
    if (stalls && !watch->stalls) {
        log_event(LOG_WARN,
                  "disk.stalled",
                  "for_ms=%" PRIu64 " dir=%s",
                  watch->stalled_ms,
                  log_quote(node->config->dir));
    } else if (!stalls && watch->stalls) {
        log_event(LOG_INFO, "disk.goes_on", "dir=%s", log_quote(node->config->dir));
    }
    watch->stalls = stalls;
    if (stalls && waits_for_evidence(node, status)) {
        ask_the_others(node);
    }
}

/* Everything in the log is durable here: nothing tells this disk from those of the others. */
static bool waits_for_evidence(const struct node *node, const struct raft_status *status)
{
    return status->role == RAFT_LEADER && !node->closing &&
           status->last_index == status->durable_index;
}

static void ask_the_others(struct node *node)
{
    struct raft_proposal *proposal = mem_new(sizeof(*proposal));
    proposal->kind = RAFT_ENTRY_NOOP;
    proposal->payload = blob_new(slice_of("", 0));
    const struct node_event event = {
        .core = {.type = RAFT_EVENT_PROPOSE, .propose.count = 1},
        .propose.proposals = proposal,
        .stepped = on_asked,
    };
    node_post(node, &event);
}

static void
on_asked(struct node *node, const struct node_event *event, const struct raft_update *update)
{
    (void)node;
    (void)event;
    log_event(LOG_INFO, "disk.asks_the_others", "refused=%s", error_name(update->propose_error));
}

/* A leader says once that its timers are too short, and once that they are not any more; neither
 * more often than every minute, since what is measured moves. */
static void watch_timers(struct node *node, const struct raft_status *status, uint64_t now_ms)
{
    struct node_watch *watch = &node->watch;
    uint32_t rtt_us = peers_rtt_longest_us(node->peers);
    bool is_short = status->role == RAFT_LEADER &&
                    !timers_fit(rtt_us, status->heartbeat_ms, status->election_ms);
    if (is_short == watch->timers_are_short ||
        (watch->timers_told_ms != 0 && now_ms - watch->timers_told_ms < TIMERS_REPEAT_MS)) {
        return;
    }
    watch->timers_are_short = is_short;
    watch->timers_told_ms = now_ms;
    char text[TEXT_SIZE];
    char command[TEXT_SIZE];
    timers_fit_text(rtt_us, status->heartbeat_ms, status->election_ms, text);
    timers_fit_command(rtt_us, status->heartbeat_ms, status->election_ms, command);
    if (is_short) {
        log_event(
            LOG_WARN, "timers.too_short", "why=%s hint=%s", log_quote(text), log_quote(command));
    } else {
        log_event(LOG_INFO, "timers.long_enough", "rtt_us=%" PRIu32, rtt_us);
    }
}

/* At the moment space becomes low a leader hands over, once: another may have more. If none has,
 * whoever leads then refuses. */
static void watch_space(struct node *node)
{
    const struct node_disk_look look = node_look_at_disk(node);
    bool low = look.is_low;
    if (low == node->watch.space_was_low) {
        return;
    }
    node->watch.space_was_low = low;
    log_event(low ? LOG_WARN : LOG_INFO,
              low ? "disk.space_low" : "disk.space_enough",
              "free=%" PRIu64 " reserve=%s dir=%s",
              look.free_bytes,
              look.has_reserve ? "yes" : "no",
              log_quote(node->config->dir));
    if (low) {
        node_transfer(node, LOG_WARN);
    }
}

static void watch_states(struct node *node, const struct raft_status *status)
{
    if (status->role != RAFT_LEADER) {
        divergence_leave(&node->divergence);
        node->watch.state_is_disputed = false;
        return;
    }
    divergence_keep(&node->divergence, status->peers, status->peers_count);
    for (uint32_t i = 0; i < status->peers_count; i++) {
        const struct raft_peer_status *peer = &status->peers[i];
        if (!member_id_equal(peer->id, node->config->member) &&
            divergence_look(&node->divergence, peer)) {
            log_divergence(node, peer);
        }
    }
    divergence_settle(&node->divergence, &status->configuration, node->config->member);
    log_dispute(node);
}

/* A leader that more voters contradict than support hands over: it would serve what is wrong. Until
 * it has, it tries again once in an election timeout. */
static void watch_ours(struct node *node, const struct raft_status *status, uint64_t now_ms)
{
    struct node_watch *watch = &node->watch;
    bool was_ours = watch->state_is_ours;
    watch->state_is_ours = status->role == RAFT_LEADER && divergence_is_ours(&node->divergence);
    if (status->role != RAFT_LEADER) {
        watch->handed_to = (struct member_id){0};
    }
    if (!watch->state_is_ours) {
        return;
    }
    if (!was_ours) {
        log_event(LOG_ERROR,
                  "state.minority",
                  "applied=%" PRIu64 " hint=%s",
                  node->applied,
                  log_quote("most members hold another state than this leader: it hands over, and "
                            "makes its state anew when the next leader says so"));
    }
    if (!was_ours || (member_id_is_none(status->transfer_to) &&
                      now_ms - watch->handed_over_ms >= status->election_ms)) {
        watch->handed_over_ms = now_ms;
        node_transfer(node, was_ours ? LOG_DEBUG : LOG_WARN);
    }
}

static void log_divergence(const struct node *node, const struct raft_peer_status *peer)
{
    const struct member *member = node_member(node, peer->id);
    log_event(LOG_ERROR,
              "state.diverged",
              "peer=%s index=%" PRIu64 " hash=%016" PRIx64 " hint=%s",
              member == NULL ? "-" : member->name,
              peer->applied_index,
              peer->state_hash,
              log_quote("its state is not the leader's after the same entries; if a majority holds "
                        "the leader's, it ends and makes its state anew at its next start"));
}

static void log_dispute(struct node *node)
{
    bool disputed = divergence_is_disputed(&node->divergence);
    if (disputed && !node->watch.state_is_disputed) {
        log_event(LOG_ERROR,
                  "state.disputed",
                  "applied=%" PRIu64 " hint=%s",
                  node->applied,
                  log_quote("members hold different states and no majority holds one: this leader "
                            "takes and sends no snapshot until one does; bring the members that "
                            "are away back"));
    } else if (!disputed && node->watch.state_is_disputed) {
        log_event(LOG_INFO, "state.settled", "applied=%" PRIu64, node->applied);
    }
    node->watch.state_is_disputed = disputed;
}

static uint64_t mebibytes(uint64_t bytes)
{
    return bytes >> 20;
}
