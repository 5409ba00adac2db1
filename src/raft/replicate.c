/* SPDX-License-Identifier: Apache-2.0 */
/* Section 5.3, sender, and section 5.4.2: only an entry of the leader's own term is committed by
 * counting; those before it follow. The leader sends while its own disk still writes, and counts
 * itself only when that is done. */
#include "raft/replicate.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/heartbeat.h"
#include "raft/proof.h"
#include "raft/quorum.h"
#include "raft/raft_state.h"
#include "raft/read_index.h"
#include "raft/reconfigure.h"
#include "raft/snapshot_send.h"
#include "raft/timers.h"
#include "raft/trace.h"
#include "raft/transfer.h"

#include <inttypes.h>

static enum error
may_propose(const struct raft *raft, const struct raft_proposal *proposals, uint32_t count);
static void advance_commit(struct raft *raft);
static uint64_t match_of(const struct progress *peer);
static uint64_t retry_ms(const struct raft *raft);

void replicate_start(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    CHECK(raft->peers_count == 0);
    raft->stepping_aside = false;
    reconfigure_peers(raft);
    uint64_t next = log_view_last_index(&raft->log) + 1;
    raft->uncommitted_bytes = 0;
    for (uint64_t index = raft->commit + 1; index < next; index++) {
        raft->uncommitted_bytes += log_view_entry_bytes(log_view_at(&raft->log, index));
    }
    raft->term_start_index = next;
    struct blob *nothing = blob_new(slice_of("", 0));
    replicate_append(raft, RAFT_ENTRY_NOOP, nothing);
    blob_unref(nothing);
    proof_forget(raft);
    read_index_start(raft);
    heartbeat_broadcast(raft);
    replicate_send_to_all(raft);
}

void replicate_stop(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        progress_deinit(&raft->peers[i]);
    }
    raft->peers_count = 0;
    raft->uncommitted_bytes = 0;
}

void replicate_propose(struct raft *raft, const struct raft_proposal *proposals, uint32_t count)
{
    raft->propose_error = may_propose(raft, proposals, count);
    if (raft->propose_error != ERR_OK) {
        return;
    }
    CHECK(raft->role == RAFT_LEADER);
    raft->propose_first_index = log_view_last_index(&raft->log) + 1;
    for (uint32_t i = 0; i < count; i++) {
        replicate_append(raft, proposals[i].kind, proposals[i].payload);
    }
    replicate_send_to_all(raft);
    CHECK(log_view_last_index(&raft->log) == raft->propose_first_index + count - 1);
}

void replicate_on_result(struct raft *raft, const struct raft_message *result)
{
    CHECK(result->term == raft->term);
    const struct raft_append_result *answer = &result->append_result;
    struct progress *peer = raft->role == RAFT_LEADER ? replicate_peer(raft, result->from) : NULL;
    if (peer == NULL || answer->index > log_view_last_index(&raft->log)) {
        return;
    }
    progress_heard(peer, raft->now_ms);
    bool regressed = peer->regressed;
    if (!answer->success) {
        uint64_t next =
            log_view_floor_of_term(&raft->log, answer->hint_index, answer->hint_term) + 1;
        /* A probe must move, whatever the hint says. */
        next = next < answer->index ? next : answer->index;
        if (answer->index > 0 && progress_refused(peer, answer->index, next)) {
            MARK("raft.probe_again");
            trace_line(raft, "probes %s after %" PRIu64, trace_id(peer->id).text, peer->next - 1);
        }
        if (peer->regressed && !regressed) {
            MARK("raft.peer_regressed");
            trace_line(raft, "%s lost what it had acknowledged", trace_id(peer->id).text);
            raft->peer_regressed = peer->id;
        }
    } else if (progress_acknowledged(peer, answer->index, raft->now_ms)) {
        advance_commit(raft);
        transfer_on_match(raft, peer);
    }
    if (peer->state == PROGRESS_SNAPSHOT && peer->match >= raft->log.base_index) {
        /* It was not that far behind after all. */
        progress_left_snapshot(peer, peer->match);
    }
    progress_round(peer, log_view_last_index(&raft->log), raft->now_ms);
    if (replicate_is_caught_up(raft, peer)) {
        progress_caught_up(peer);
    }
    replicate_send(raft, peer);
}

void replicate_on_durable(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    CHECK(raft->durable.index <= log_view_last_index(&raft->log));
    advance_commit(raft);
}

void replicate_again(struct raft *raft, struct member_id id)
{
    struct progress *peer = raft->role == RAFT_LEADER ? replicate_peer(raft, id) : NULL;
    if (peer == NULL) {
        return;
    }
    progress_restart(peer);
    replicate_send(raft, peer);
    CHECK(peer->match < peer->next);
}

void replicate_tick(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        struct progress *peer = &raft->peers[i];
        if (progress_is_waiting(peer) && raft->now_ms >= peer->sent_ms + retry_ms(raft)) {
            progress_restart(peer);
            replicate_send(raft, peer);
        }
    }
}

uint64_t replicate_deadline_ms(const struct raft *raft)
{
    uint64_t deadline = UINT64_MAX;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (progress_is_waiting(peer) && peer->sent_ms + retry_ms(raft) < deadline) {
            deadline = peer->sent_ms + retry_ms(raft);
        }
    }
    return deadline;
}

struct progress *replicate_peer(struct raft *raft, struct member_id id)
{
    CHECK(raft->peers_count <= RAFT_SERVERS_MAX);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        if (member_id_equal(raft->peers[i].id, id)) {
            return &raft->peers[i];
        }
    }
    return NULL;
}

bool replicate_is_active(const struct raft *raft, const struct progress *peer)
{
    return raft->now_ms < peer->heard_ms + timers_election_ms(raft);
}

bool replicate_is_heard(const struct raft *raft, const struct progress *peer)
{
    return peer->answered && !peer->lost && replicate_is_active(raft, peer);
}

bool replicate_is_stalled(const struct raft *raft, const struct progress *peer)
{
    uint64_t since_ms = peer->round_start_ms > peer->grew_ms ? peer->round_start_ms : peer->grew_ms;
    return replicate_is_heard(raft, peer) && peer->state != PROGRESS_SNAPSHOT &&
           peer->match < peer->round_target && raft->now_ms - since_ms > timers_election_ms(raft);
}

bool replicate_is_caught_up(const struct raft *raft, const struct progress *peer)
{
    /* The latest round was short, and the present one is not long yet (thesis, 4.2.1). */
    uint64_t most = timers_election_ms(raft);
    return replicate_is_active(raft, peer) && peer->state == PROGRESS_REPLICATE &&
           peer->round_took_ms <= most && raft->now_ms - peer->round_start_ms <= most;
}

void replicate_values(const struct raft *raft,
                      uint64_t own,
                      uint64_t (*of)(const struct progress *peer),
                      uint64_t *values_out)
{
    const struct raft_configuration *configuration = log_view_configuration(&raft->log);
    for (uint32_t i = 0; i < configuration->count; i++) {
        struct member_id id = configuration->servers[i].id;
        values_out[i] = member_id_equal(id, raft->options.self) ? own : 0;
        for (uint32_t j = 0; j < raft->peers_count; j++) {
            if (member_id_equal(raft->peers[j].id, id)) {
                values_out[i] = of(&raft->peers[j]);
            }
        }
    }
}

static enum error
may_propose(const struct raft *raft, const struct raft_proposal *proposals, uint32_t count)
{
    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (transfer_is_under_way(raft)) {
        return ERR_UNAVAILABLE;
    }
    if (count == 0) {
        return ERR_INVALID;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* Configurations come by RAFT_EVENT_CHANGE. */
        bool nothing = proposals[i].kind == RAFT_ENTRY_NOOP && proposals[i].payload->len == 0;
        if (proposals[i].kind != RAFT_ENTRY_COMMAND && !nothing) {
            return ERR_INVALID;
        }
        if (proposals[i].payload->len > RAFT_PAYLOAD_MAX) {
            return ERR_LIMIT;
        }
        bytes += proposals[i].payload->len;
    }
    return raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max ? ERR_EXHAUSTED
                                                                                 : ERR_OK;
}

void replicate_append(struct raft *raft, enum raft_entry_kind kind, struct blob *payload)
{
    CHECK(raft->role == RAFT_LEADER);
    struct raft_entry entry = {
        .term = raft->term,
        .index = log_view_last_index(&raft->log) + 1,
        .kind = kind,
        .payload = payload,
    };
    log_view_append(&raft->log, &entry);
    raft->uncommitted_bytes += log_view_entry_bytes(&entry);
}

void replicate_send_to_all(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        replicate_send(raft, &raft->peers[i]);
    }
}

void replicate_send(struct raft *raft, struct progress *peer)
{
    CHECK(raft->role == RAFT_LEADER);
    uint64_t last = log_view_last_index(&raft->log);
    while (progress_may_send(peer, raft->options.inflight_bytes_max) &&
           (peer->next <= last || peer->state == PROGRESS_PROBE)) {
        uint64_t prev = peer->next - 1;
        if (prev < raft->log.base_index) {
            MARK("raft.peer_needs_snapshot");
            trace_line(raft, "%s needs a snapshot", trace_id(peer->id).text);
            progress_needs_snapshot(peer);
            break;
        }
        uint64_t bytes = 0;
        uint32_t count =
            log_view_batch(&raft->log, peer->next, raft->options.append_bytes_max, &bytes);
        struct raft_message *message = outbox_add(raft, RAFT_APPEND, peer->id);
        message->append = (struct raft_append){
            .prev_index = prev,
            .prev_term = log_view_term(&raft->log, prev),
            .commit = raft->commit,
            .entries_count = count,
        };
        peer->told = raft->commit;
        progress_sent(peer, prev + count, bytes, raft->now_ms);
    }
    snapshot_send(raft, peer);
}

static void advance_commit(struct raft *raft)
{
    uint64_t values[RAFT_SERVERS_MAX] = {0};
    replicate_values(raft, raft->durable.index, match_of, values);
    uint64_t reached = quorum_commit(log_view_configuration(&raft->log), values);
    if (reached <= raft->commit || log_view_term(&raft->log, reached) != raft->term) {
        return;
    }
    CHECK(reached >= raft->term_start_index);
    CHECK(reached <= log_view_last_index(&raft->log));
    for (uint64_t index = raft->commit + 1; index <= reached; index++) {
        raft->uncommitted_bytes -= log_view_entry_bytes(log_view_at(&raft->log, index));
    }
    heartbeat_commit_grows(raft);
    raft->commit = reached;
    read_index_begin(raft);
}

static uint64_t match_of(const struct progress *peer)
{
    return peer->match;
}

static uint64_t retry_ms(const struct raft *raft)
{
    /* Several round trips: an answer is only late when its message or itself was lost. */
    return timers_election_ms(raft) / 2;
}
