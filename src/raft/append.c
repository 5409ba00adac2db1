/* SPDX-License-Identifier: Apache-2.0 */
/* Section 5.3, receiver. An acknowledgement is a promise about the disk: it names the last index
 * that both matches the leader's log and is durable here, and grows as writes complete. Duplicates
 * and old messages never cut a matching tail: only a real conflict of terms does. */
#include "raft/append.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/election.h"
#include "raft/membership.h"
#include "raft/raft_state.h"
#include "raft/snapshot_receive.h"
#include "raft/trace.h"

#include <inttypes.h>

static bool is_well_formed(const struct raft *raft, const struct raft_message *request);
static void refuse(struct raft *raft, const struct raft_message *request);
static void take_entries(struct raft *raft, const struct raft_append *append);
static void cut_conflict(struct raft *raft, uint64_t index);
static void follow_commit(struct raft *raft, uint64_t leader_commit);
static void acknowledge(struct raft *raft, struct member_id to);
static uint64_t durable_match(const struct raft *raft);

void append_on_request(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->term == raft->term);
    const struct raft_append *append = &request->append;
    if (!is_well_formed(raft, request)) {
        MARK("raft.append_malformed");
        trace_line(raft, "drops a malformed append of %s", trace_id(request->from).text);
        return;
    }
    if (!election_heard_leader(raft, request->from)) {
        return;
    }
    if (snapshot_receive_is_installing(raft)) {
        MARK("raft.append_while_installing");
        trace_line(raft, "installs, takes no entries");
        return;
    }
    uint64_t sent_last = append->prev_index + append->entries_count;
    if (append->prev_index < raft->log.base_index) {
        /* All of it up to our base is committed, and a leader holds what is committed. */
        sent_last = sent_last > raft->log.base_index ? sent_last : raft->log.base_index;
        take_entries(raft, append);
    } else if (!log_view_matches(&raft->log, append->prev_index, append->prev_term)) {
        refuse(raft, request);
        return;
    } else {
        take_entries(raft, append);
    }
    if (sent_last > raft->matched) {
        raft->matched = sent_last;
    }
    follow_commit(raft, append->commit);
    if (durable_match(raft) >= sent_last) {
        acknowledge(raft, request->from);
    }
    CHECK(raft->matched <= log_view_last_index(&raft->log));
}

void append_on_heartbeat(struct raft *raft, const struct raft_message *heartbeat)
{
    CHECK(heartbeat->term == raft->term);
    if (!election_heard_leader(raft, heartbeat->from)) {
        return;
    }
    follow_commit(raft, heartbeat->heartbeat.commit);
    struct raft_message *message = outbox_add(raft, RAFT_HEARTBEAT_RESULT, heartbeat->from);
    message->heartbeat_result = (struct raft_heartbeat_result){
        .probe = heartbeat->heartbeat.probe,
        .applied_index = raft->applied,
        .state_hash = raft->state_hash,
    };
    CHECK(raft->commit <= log_view_last_index(&raft->log));
}

void append_refuse_stale(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->term < raft->term);
    CHECK(request->type == RAFT_APPEND || request->type == RAFT_HEARTBEAT);
    if (request->type == RAFT_APPEND) {
        refuse(raft, request);
    } else {
        /* Its higher term is what this answer says; probe 0 confirms nothing. */
        (void)outbox_add(raft, RAFT_HEARTBEAT_RESULT, request->from);
    }
}

void append_on_durable(struct raft *raft)
{
    CHECK(raft->role != RAFT_LEADER);
    CHECK(raft->acked <= raft->matched);
    if (!member_id_is_none(raft->term_leader) && durable_match(raft) > raft->acked) {
        acknowledge(raft, raft->term_leader);
    }
}

/* What another member sent is checked before it may touch the log. */
static bool is_well_formed(const struct raft *raft, const struct raft_message *request)
{
    const struct raft_append *append = &request->append;
    uint64_t term = append->prev_term;
    for (uint32_t i = 0; i < append->entries_count; i++) {
        const struct raft_entry *entry = &append->entries[i];
        if (entry->index != append->prev_index + 1 + i || entry->term < term ||
            entry->term > request->term || entry->payload == NULL ||
            entry->payload->len > RAFT_PAYLOAD_MAX) {
            return false;
        }
        if (entry->kind != RAFT_ENTRY_NOOP && entry->kind != RAFT_ENTRY_COMMAND &&
            entry->kind != RAFT_ENTRY_CONFIGURATION) {
            return false;
        }
        struct raft_configuration configuration;
        if (entry->kind == RAFT_ENTRY_CONFIGURATION &&
            raft_configuration_decode(blob_view(entry->payload), &configuration) != ERR_OK) {
            return false;
        }
        if (entry->index == raft->log.base_index && entry->term != raft->log.base_term) {
            /* Committed here, so no leader can hold anything else there. */
            return false;
        }
        term = entry->term;
    }
    return append->prev_term <= request->term;
}

static void refuse(struct raft *raft, const struct raft_message *request)
{
    /* Where to look next: our last entry of a term not above the leader's at that place. All of
     * what lies between cannot match (section 5.3, end). */
    const struct raft_append *append = &request->append;
    uint64_t hint = log_view_floor_of_term(&raft->log, append->prev_index, append->prev_term);
    trace_line(raft,
               "refuses append after %" PRIu64 " of term %" PRIu64 ", hint %" PRIu64,
               append->prev_index,
               append->prev_term,
               hint);
    struct raft_message *message = outbox_add(raft, RAFT_APPEND_RESULT, request->from);
    message->append_result = (struct raft_append_result){
        .success = false,
        .index = append->prev_index,
        .hint_index = hint,
        .hint_term = log_view_term(&raft->log, hint),
    };
}

static void take_entries(struct raft *raft, const struct raft_append *append)
{
    CHECK(append->prev_index < raft->log.base_index ||
          log_view_matches(&raft->log, append->prev_index, append->prev_term));
    for (uint32_t i = 0; i < append->entries_count; i++) {
        const struct raft_entry *entry = &append->entries[i];
        if (entry->index <= raft->log.base_index) {
            continue;
        }
        if (log_view_matches(&raft->log, entry->index, entry->term)) {
            continue;
        }
        if (entry->index <= log_view_last_index(&raft->log)) {
            cut_conflict(raft, entry->index);
        }
        log_view_append(&raft->log, entry);
    }
}

static void cut_conflict(struct raft *raft, uint64_t index)
{
    /* Leader completeness: nothing committed, and nothing that this leader sent, can conflict. */
    CHECK(index > raft->commit);
    CHECK(index > raft->matched);
    MARK("raft.cut_conflict");
    trace_line(raft, "cuts %" PRIu64 "..%" PRIu64, index, log_view_last_index(&raft->log));
    log_view_cut(&raft->log, index);
    durable_cut(&raft->durable, index);
}

static void follow_commit(struct raft *raft, uint64_t leader_commit)
{
    if (snapshot_receive_is_installing(raft)) {
        return;
    }
    if (leader_commit > raft->leader_commit) {
        raft->leader_commit = leader_commit;
    }
    uint64_t commit = raft->leader_commit < raft->matched ? raft->leader_commit : raft->matched;
    if (commit > raft->commit) {
        raft->commit = commit;
    }
}

static void acknowledge(struct raft *raft, struct member_id to)
{
    uint64_t index = durable_match(raft);
    CHECK(index <= raft->durable.index);
    if (index > raft->acked) {
        raft->acked = index;
    }
    struct raft_message *message = outbox_add(raft, RAFT_APPEND_RESULT, to);
    message->append_result = (struct raft_append_result){.success = true, .index = index};
}

static uint64_t durable_match(const struct raft *raft)
{
    return raft->matched < raft->durable.index ? raft->matched : raft->durable.index;
}
