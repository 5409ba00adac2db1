/* SPDX-License-Identifier: Apache-2.0 */
/* One step: the event, then the timers, then what follows from both. Events come before timers, so
 * that a process that was paused hears what waited in its sockets before it doubts its leader. */
#include "raft/raft.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/abdicate.h"
#include "raft/append.h"
#include "raft/become.h"
#include "raft/boot.h"
#include "raft/compaction.h"
#include "raft/election.h"
#include "raft/evidence.h"
#include "raft/heartbeat.h"
#include "raft/raft_state.h"
#include "raft/read_index.h"
#include "raft/receive.h"
#include "raft/reconfigure.h"
#include "raft/replicate.h"
#include "raft/snapshot_receive.h"
#include "raft/snapshot_send.h"
#include "raft/transfer.h"

enum {
    HEARTBEAT_MS = 50,
    ELECTION_MS = 500,
    INFLIGHT_MESSAGES_MAX = 256,
    INFLIGHT_BYTES_MAX = 4 * 1024 * 1024,
    APPEND_BYTES_MAX = 256 * 1024,
    UNCOMMITTED_BYTES_MAX = 64 * 1024 * 1024,
    LOG_TAIL_ENTRIES = 10000,
    LOG_TAIL_BYTES = 16 * 1024 * 1024,
    SNAPSHOT_CHUNK_BYTES = 512 * 1024,
    SNAPSHOT_BYTES_PER_S = 32 * 1024 * 1024,
};

static void set_options(struct raft *raft, const struct raft_options *options);
static void clear_output(struct raft *raft);
static void hand_out_commit(struct raft *raft);
static void fill_snapshots(const struct raft *raft, struct raft_update *update_out);
static void take_event(struct raft *raft, const struct raft_event *event);
static void run_timers(struct raft *raft);
static void persisted(struct raft *raft, uint64_t seq);
static void applied(struct raft *raft, uint64_t index, uint64_t state_hash);
static uint64_t next_deadline_ms(const struct raft *raft);

struct raft *raft_new(const struct raft_options *options,
                      const struct raft_recovered *recovered,
                      uint64_t now_ms)
{
    CHECK(!member_id_is_none(options->self));
    struct raft *raft = mem_new(sizeof(*raft));
    set_options(raft, options);
    prng_init_stream(&raft->prng, options->seed, "raft");
    raft->now_ms = now_ms;
    raft->role = RAFT_FOLLOWER;
    boot_load(raft, recovered);
    transfer_clear(raft);
    election_init(raft);
    raft_check_invariants(raft);
    return raft;
}

void raft_free(struct raft *raft)
{
    if (raft == NULL) {
        return;
    }
    replicate_stop(raft);
    snapshot_receive_deinit(&raft->receiving);
    blob_unref(raft->snapshot_write.chunk);
    read_index_deinit(raft);
    outbox_deinit(&raft->outbox);
    durable_deinit(&raft->durable);
    log_view_deinit(&raft->log);
    mem_free(raft);
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_update *update_out)
{
    raft_check_invariants(raft);
    enum raft_role role = raft->role;
    uint64_t term = raft->term;
    struct member_id leader = raft->leader;

    uint64_t configuration = log_view_configuration_index(&raft->log);
    bool configuration_committed = configuration <= raft->commit;
    clear_output(raft);
    if (event->now_ms > raft->now_ms) {
        raft->now_ms = event->now_ms;
    }
    take_event(raft, event);
    run_timers(raft);

    *update_out = (struct raft_update){0};
    outbox_finish(raft, &update_out->write);
    hand_out_commit(raft);
    update_out->messages = raft->outbox.messages;
    update_out->messages_count = raft->outbox.count;
    update_out->commit = raft->commit_out;
    update_out->leadership_changed =
        role != raft->role || term != raft->term || !member_id_equal(leader, raft->leader);
    update_out->role = raft->role;
    update_out->term = raft->term;
    update_out->leader = raft->leader;
    update_out->propose_error = raft->propose_error;
    update_out->propose_first_index = raft->propose_first_index;
    update_out->change_refusal = raft->change_refusal;
    update_out->change_refused = raft->change_refused;
    update_out->configuration_changed = configuration != log_view_configuration_index(&raft->log) ||
                                        configuration_committed != (configuration <= raft->commit);
    fill_snapshots(raft, update_out);
    update_out->peer_regressed = raft->peer_regressed;
    update_out->reads = raft->reads.ready;
    update_out->reads_count = raft->reads.ready_count;
    update_out->next_deadline_ms = next_deadline_ms(raft);
    raft_check_invariants(raft);
}

void raft_set_may_lead(struct raft *raft, bool may_lead)
{
    CHECK(raft->role != RAFT_LEADER);
    raft->may_not_lead = !may_lead;
}

const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index)
{
    return log_view_at(&raft->log, index);
}

const struct raft_configuration *raft_configuration_at(const struct raft *raft, uint64_t index)
{
    return log_view_configuration_at(&raft->log, index);
}

static void clear_output(struct raft *raft)
{
    outbox_clear(&raft->outbox);
    read_index_clear_ready(raft);
    raft->propose_error = ERR_OK;
    raft->propose_first_index = 0;
    raft->change_refusal = RAFT_CHANGE_OK;
    raft->change_refused = (struct member_id){0};
    raft->peer_regressed = (struct member_id){0};
    blob_unref(raft->snapshot_write.chunk);
    raft->snapshot_write = (struct raft_snapshot_write){0};
    raft->snapshot_install = (struct raft_snapshot_install){0};
}

/* While an install is under way the disk may still catch up with what is committed; but whoever
 * applies entries is about to have them all, by the snapshot. */
static void hand_out_commit(struct raft *raft)
{
    uint64_t commit = raft->commit < raft->durable.index ? raft->commit : raft->durable.index;
    if (commit > raft->commit_out && !snapshot_receive_is_installing(raft)) {
        raft->commit_out = commit;
    }
}

static void fill_snapshots(const struct raft *raft, struct raft_update *update_out)
{
    update_out->log_cut_index = raft->log.base_index;
    update_out->snapshot_wanted = raft->role == RAFT_LEADER && snapshot_send_is_starved(raft);
    update_out->snapshot_reads = raft->outbox.reads;
    update_out->snapshot_reads_count = raft->outbox.reads_count;
    update_out->snapshot_write = raft->snapshot_write;
    update_out->snapshot_install = raft->snapshot_install;
}

static void set_options(struct raft *raft, const struct raft_options *options)
{
    struct raft_options *own = &raft->options;
    *own = *options;
    own->heartbeat_ms = own->heartbeat_ms != 0 ? own->heartbeat_ms : HEARTBEAT_MS;
    own->election_ms = own->election_ms != 0 ? own->election_ms : ELECTION_MS;
    own->inflight_messages_max =
        own->inflight_messages_max != 0 ? own->inflight_messages_max : INFLIGHT_MESSAGES_MAX;
    own->inflight_bytes_max =
        own->inflight_bytes_max != 0 ? own->inflight_bytes_max : INFLIGHT_BYTES_MAX;
    own->append_bytes_max = own->append_bytes_max != 0 ? own->append_bytes_max : APPEND_BYTES_MAX;
    own->uncommitted_bytes_max =
        own->uncommitted_bytes_max != 0 ? own->uncommitted_bytes_max : UNCOMMITTED_BYTES_MAX;
    own->log_tail_entries = own->log_tail_entries != 0 ? own->log_tail_entries : LOG_TAIL_ENTRIES;
    own->log_tail_bytes = own->log_tail_bytes != 0 ? own->log_tail_bytes : LOG_TAIL_BYTES;
    own->snapshot_chunk_bytes =
        own->snapshot_chunk_bytes != 0 ? own->snapshot_chunk_bytes : SNAPSHOT_CHUNK_BYTES;
    own->snapshot_bytes_per_s =
        own->snapshot_bytes_per_s != 0 ? own->snapshot_bytes_per_s : SNAPSHOT_BYTES_PER_S;
    CHECK(own->heartbeat_ms < own->election_ms);
    CHECK(own->snapshot_chunk_bytes <= RAFT_SNAPSHOT_CHUNK_MAX);
}

static void take_event(struct raft *raft, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_EVENT_TICK:
        break;
    case RAFT_EVENT_RECEIVE:
        receive_message(raft, event->message);
        break;
    case RAFT_EVENT_PERSISTED:
        persisted(raft, event->persisted_seq);
        break;
    case RAFT_EVENT_PROPOSE:
        replicate_propose(raft, event->propose.proposals, event->propose.count);
        break;
    case RAFT_EVENT_READ:
        read_index_add(raft, event->read_id);
        break;
    case RAFT_EVENT_APPLIED:
        applied(raft, event->applied.index, event->applied.state_hash);
        break;
    case RAFT_EVENT_PEER_DEAD:
        evidence_on_dead(raft, event->peer);
        replicate_again(raft, event->peer);
        break;
    case RAFT_EVENT_PEER_ALIVE:
        evidence_on_alive(raft, event->peer);
        replicate_again(raft, event->peer);
        break;
    case RAFT_EVENT_TRANSFER:
        transfer_start(raft, event->peer);
        break;
    case RAFT_EVENT_CHANGE:
        reconfigure_on_change(raft, event->target);
        break;
    case RAFT_EVENT_SNAPSHOT_TAKEN:
        compaction_on_taken(raft, &event->snapshot_taken);
        break;
    case RAFT_EVENT_SNAPSHOT_READ:
        snapshot_send_on_read(raft, event);
        break;
    case RAFT_EVENT_SNAPSHOT_WRITTEN:
        snapshot_receive_on_written(raft, event);
        break;
    case RAFT_EVENT_SNAPSHOT_INSTALLED:
        snapshot_receive_on_installed(raft, event);
        break;
    }
}

static void run_timers(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        heartbeat_tick(raft);
    }
    if (raft->role == RAFT_LEADER) {
        replicate_tick(raft);
        snapshot_send_tick(raft);
        transfer_tick(raft);
        abdicate_tick(raft);
        reconfigure_tick(raft);
    }
    election_tick(raft);
}

static void persisted(struct raft *raft, uint64_t seq)
{
    durable_complete(&raft->durable, seq);
    CHECK(raft->durable.index <= log_view_last_index(&raft->log));
    if (raft->role == RAFT_LEADER) {
        replicate_on_durable(raft);
        return;
    }
    election_on_durable(raft);
    if (raft->role != RAFT_LEADER) {
        append_on_durable(raft);
    }
}

static void applied(struct raft *raft, uint64_t index, uint64_t state_hash)
{
    CHECK(index <= raft->commit_out);
    if (index < raft->applied) {
        /* On its way while a snapshot was installed. */
        return;
    }
    raft->applied = index;
    raft->state_hash = state_hash;
}

static uint64_t next_deadline_ms(const struct raft *raft)
{
    if (raft->role != RAFT_LEADER) {
        return raft->election_deadline_ms;
    }
    uint64_t deadline = heartbeat_deadline_ms(raft);
    uint64_t retry = replicate_deadline_ms(raft);
    uint64_t transfer = transfer_deadline_ms(raft);
    uint64_t abdicate = abdicate_deadline_ms(raft);
    uint64_t snapshot = snapshot_send_deadline_ms(raft);
    deadline = retry < deadline ? retry : deadline;
    deadline = snapshot < deadline ? snapshot : deadline;
    deadline = abdicate < deadline ? abdicate : deadline;
    return transfer < deadline ? transfer : deadline;
}
