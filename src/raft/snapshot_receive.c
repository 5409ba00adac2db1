/* SPDX-License-Identifier: Apache-2.0 */
/* The receiver. What is on its way is dropped only for a newer snapshot, or for another leader's;
 * nothing that comes late or twice harms: a chunk is taken only where the file ends so far. */
#include "raft/snapshot_receive.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/election.h"
#include "raft/membership.h"
#include "raft/raft_state.h"
#include "raft/trace.h"

#include <inttypes.h>
#include <string.h>

static bool is_well_formed(const struct raft_message *request);
static bool is_needless(const struct raft *raft, uint64_t index, uint64_t term);
static bool begin(struct raft *raft, const struct raft_message *request);
static void take(struct raft *raft, const struct raft_install_snapshot *sent);
static void give(struct raft *raft);
static void begin_file(struct raft *raft);
static void forget(struct raft *raft);
static void install(struct raft *raft);
static void restart_log(struct raft *raft);
static void answer(struct raft *raft, struct member_id to, bool done);

void snapshot_receive_deinit(struct snapshot_receive *receiving)
{
    for (uint32_t i = 0; i < receiving->waiting_count; i++) {
        blob_unref(receiving->waiting[i]);
    }
    receiving->waiting_count = 0;
}

void snapshot_receive_on_request(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->term == raft->term);
    const struct raft_install_snapshot *sent = &request->install_snapshot;
    if (!is_well_formed(request)) {
        MARK("raft.snapshot_malformed");
        trace_line(raft, "drops a malformed chunk of %s", trace_id(request->from).text);
        return;
    }
    if (!election_heard_leader(raft, request->from)) {
        return;
    }
    if (!raft->receiving.installing && is_needless(raft, sent->last_index, sent->last_term)) {
        if (raft->receiving.index <= raft->commit) {
            forget(raft);
        }
        struct raft_message *message =
            outbox_add(raft, RAFT_INSTALL_SNAPSHOT_RESULT, request->from);
        message->install_snapshot_result =
            (struct raft_install_snapshot_result){.last_index = sent->last_index, .done = true};
        return;
    }
    if (!begin(raft, request)) {
        return;
    }
    if (raft->receiving.installing || sent->offset != raft->receiving.held ||
        sent->chunk->len == 0 || raft->receiving.waiting_count == SNAPSHOT_WAITING_MAX) {
        answer(raft, request->from, false);
        return;
    }
    take(raft, sent);
}

void snapshot_receive_refuse_stale(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->term < raft->term);
    struct raft_message *message = outbox_add(raft, RAFT_INSTALL_SNAPSHOT_RESULT, request->from);
    message->install_snapshot_result.last_index = request->install_snapshot.last_index;
}

void snapshot_receive_on_written(struct raft *raft, const struct raft_event *event)
{
    struct snapshot_receive *receiving = &raft->receiving;
    uint64_t offset = event->snapshot_written.offset;
    CHECK(raft->write_busy);
    raft->write_busy = false;
    if (event->snapshot_written.index != receiving->index || offset != receiving->given) {
        /* Of a transfer that is over. */
        give(raft);
        return;
    }
    if (event->snapshot_written.error != ERR_OK) {
        MARK("raft.chunk_not_written");
        trace_line(raft, "cannot write the snapshot at %" PRIu64, receiving->index);
        begin_file(raft);
    } else {
        receiving->written = offset;
        give(raft);
    }
    if (receiving->size != 0 && receiving->written == receiving->size) {
        install(raft);
    } else if (raft->role == RAFT_FOLLOWER && !member_id_is_none(raft->term_leader)) {
        /* Who leads by now got by the log what this was for, and owes nobody an answer. */
        answer(raft, raft->term_leader, false);
    }
}

void snapshot_receive_on_installed(struct raft *raft, const struct raft_event *event)
{
    struct snapshot_receive *receiving = &raft->receiving;
    CHECK(receiving->installing);
    CHECK(event->snapshot_installed.index == receiving->index);
    receiving->installing = false;
    bool done = event->snapshot_installed.error == ERR_OK;
    if (done) {
        restart_log(raft);
    } else {
        MARK("raft.snapshot_not_installed");
        trace_line(raft, "the snapshot at %" PRIu64 " is not usable", receiving->index);
        begin_file(raft);
    }
    if (raft->role == RAFT_FOLLOWER && !member_id_is_none(raft->term_leader)) {
        answer(raft, raft->term_leader, done);
    }
    if (done) {
        forget(raft);
    }
}

bool snapshot_receive_is_installing(const struct raft *raft)
{
    return raft->receiving.installing;
}

/* What another member sent is checked before it may become our state. */
static bool is_well_formed(const struct raft_message *request)
{
    const struct raft_install_snapshot *sent = &request->install_snapshot;
    if (sent->last_index == 0 || sent->last_term == 0 || sent->last_term > request->term ||
        sent->chunk == NULL || sent->chunk->len > RAFT_SNAPSHOT_CHUNK_MAX || sent->size == 0) {
        return false;
    }
    if (sent->offset > sent->size || sent->chunk->len > sent->size - sent->offset ||
        sent->last != (sent->offset + sent->chunk->len == sent->size)) {
        return false;
    }
    return membership_validate(&sent->configuration) == ERR_OK;
}

/* What is committed here, or in the log, does not come by snapshot: a matching suffix stays. */
static bool is_needless(const struct raft *raft, uint64_t index, uint64_t term)
{
    return index <= raft->commit || log_view_matches(&raft->log, index, term);
}

/* False if the chunk belongs to a transfer that is over. */
static bool begin(struct raft *raft, const struct raft_message *request)
{
    struct snapshot_receive *receiving = &raft->receiving;
    const struct raft_install_snapshot *sent = &request->install_snapshot;
    bool same = receiving->index == sent->last_index && receiving->term == sent->last_term &&
                (receiving->size == 0 || receiving->size == sent->size) &&
                receiving->held <= sent->size;
    if (receiving->installing ||
        (!same && receiving->leader_term == request->term && sent->last_index < receiving->index)) {
        return receiving->installing && same;
    }
    if (!same) {
        trace_line(raft,
                   "takes a snapshot at %" PRIu64 " of %" PRIu64 " bytes from %s",
                   sent->last_index,
                   sent->size,
                   trace_id(request->from).text);
        forget(raft);
        receiving->index = sent->last_index;
        receiving->term = sent->last_term;
    }
    receiving->size = sent->size;
    receiving->leader_term = request->term;
    receiving->configuration = sent->configuration;
    if (receiving->written == receiving->size) {
        /* A crash came between the last chunk and the install. */
        install(raft);
    }
    return true;
}

static void take(struct raft *raft, const struct raft_install_snapshot *sent)
{
    struct snapshot_receive *receiving = &raft->receiving;
    CHECK(receiving->waiting_count < SNAPSHOT_WAITING_MAX);
    receiving->waiting[receiving->waiting_count] = blob_ref(sent->chunk);
    receiving->waiting_count++;
    receiving->held += sent->chunk->len;
    CHECK(receiving->held <= receiving->size);
    give(raft);
}

/* One write at a time: only so does the end of one say that all before it has ended too. */
static void give(struct raft *raft)
{
    struct snapshot_receive *receiving = &raft->receiving;
    if (raft->write_busy || receiving->waiting_count == 0) {
        return;
    }
    CHECK(raft->snapshot_write.index == 0);
    raft->write_busy = true;
    raft->snapshot_write = (struct raft_snapshot_write){
        .index = receiving->index,
        .term = receiving->term,
        .size = receiving->size,
        .offset = receiving->given,
        .chunk = receiving->waiting[0],
    };
    receiving->given += receiving->waiting[0]->len;
    receiving->waiting_count--;
    memmove(receiving->waiting,
            receiving->waiting + 1,
            receiving->waiting_count * sizeof(receiving->waiting[0]));
}

/* The same snapshot from its first byte. */
static void begin_file(struct raft *raft)
{
    struct snapshot_receive *receiving = &raft->receiving;
    snapshot_receive_deinit(receiving);
    receiving->held = 0;
    receiving->given = 0;
    receiving->written = 0;
}

static void forget(struct raft *raft)
{
    snapshot_receive_deinit(&raft->receiving);
    raft->receiving = (struct snapshot_receive){0};
}

static void install(struct raft *raft)
{
    struct snapshot_receive *receiving = &raft->receiving;
    if (raft->role == RAFT_LEADER || is_needless(raft, receiving->index, receiving->term)) {
        MARK("raft.snapshot_not_needed_any_more");
        trace_line(raft, "needs the snapshot at %" PRIu64 " no more", receiving->index);
        forget(raft);
        return;
    }
    MARK("raft.snapshot_installs");
    trace_line(raft, "installs the snapshot at %" PRIu64, receiving->index);
    receiving->installing = true;
    raft->snapshot_install = (struct raft_snapshot_install){
        .index = receiving->index,
        .term = receiving->term,
        .size = receiving->size,
        .configuration = receiving->configuration,
    };
}

static void restart_log(struct raft *raft)
{
    const struct snapshot_receive *receiving = &raft->receiving;
    uint64_t index = receiving->index;
    CHECK(raft->role != RAFT_LEADER);
    CHECK(index > raft->commit);
    MARK("raft.log_restarted");
    trace_line(raft, "its log begins anew after %" PRIu64, index);
    log_view_restart(&raft->log, index, receiving->term, &receiving->configuration);
    durable_restart(&raft->durable, index);
    raft->commit = index;
    raft->commit_out = index;
    raft->applied = index;
    /* Unknown until an APPLIED tells it. */
    raft->state_hash = 0;
    /* A snapshot holds what is committed, and so does the leader of this term, whoever it is. */
    raft->matched = index;
    raft->acked = raft->acked < index ? raft->acked : index;
    raft->snapshot =
        (struct raft_snapshot){.index = index, .term = receiving->term, .size = receiving->size};
}

static void answer(struct raft *raft, struct member_id to, bool done)
{
    struct raft_message *message = outbox_add(raft, RAFT_INSTALL_SNAPSHOT_RESULT, to);
    message->install_snapshot_result = (struct raft_install_snapshot_result){
        .last_index = raft->receiving.index,
        .offset = raft->receiving.written,
        .done = done,
    };
}
