/* SPDX-License-Identifier: Apache-2.0 */
/* Events for one core, and ready-made messages of its peers. */
#include "core_bench.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    ENTRIES_MAX = 64
};

struct core_bench *core_bench_new(const struct core_bench_options *options)
{
    CHECK(options->entries_count <= ENTRIES_MAX);
    struct core_bench *bench = mem_new(sizeof(*bench));
    struct raft_entry entries[ENTRIES_MAX];
    struct raft_recovered recovered = {
        .hard_state = {.term = options->term, .vote = core_bench_member(options->vote)},
        .entries = entries,
        .entries_count = options->entries_count,
        .snapshot_index = options->snapshot_index,
        .snapshot_term = options->snapshot_term,
        .snapshot_size = options->snapshot_index != 0 ? 100 : 0,
        .applied_index = options->snapshot_index,
        .partial_index = options->partial_bytes != 0 ? options->snapshot_index + 100 : 0,
        .partial_term = 1,
        .partial_bytes = options->partial_bytes,
    };
    for (uint32_t i = 0; i < options->entries_count; i++) {
        entries[i] = (struct raft_entry){
            .term = options->terms[i],
            .index = (options->first_index != 0 ? options->first_index : 1) + i,
            .kind = RAFT_ENTRY_COMMAND,
            .payload = blob_new(slice_of_string("recovered")),
        };
    }
    for (uint32_t i = 0; i < options->members; i++) {
        recovered.configuration.servers[i] =
            (struct raft_server){.id = core_bench_member(i + 1), .voter = true};
        recovered.configuration.count = i + 1;
    }
    if (options->configuration != NULL) {
        recovered.configuration = *options->configuration;
    }
    struct raft_options raft_options = {
        .self = core_bench_member(1),
        .seed = 1,
        .heartbeat_ms = 50,
        .election_ms = 500,
        .log_tail_entries = options->log_tail_entries,
        .log_tail_bytes = options->log_tail_bytes,
        .snapshot_chunk_bytes = options->snapshot_chunk_bytes,
        .snapshot_bytes_per_s = options->snapshot_bytes_per_s,
        .inflight_messages_max = options->inflight_messages_max,
        .append_bytes_max = options->append_bytes_max,
        .uncommitted_bytes_max = options->uncommitted_bytes_max,
        .rank = options->rank,
    };
    bench->raft = raft_new(&raft_options, &recovered, 0);
    for (uint32_t i = 0; i < options->entries_count; i++) {
        blob_unref(entries[i].payload);
    }
    return bench;
}

void core_bench_free(struct core_bench *bench)
{
    raft_free(bench->raft);
    mem_free(bench);
}

void core_bench_step(struct core_bench *bench, struct raft_event event)
{
    event.now_ms = bench->now_ms;
    raft_step(bench->raft, &event, &bench->update);
    raft_check_invariants(bench->raft);
    if (bench->update.write.seq != 0) {
        bench->seq_issued = bench->update.write.seq;
    }
}

void core_bench_tick(struct core_bench *bench, uint64_t ms)
{
    bench->now_ms += ms;
    core_bench_step(bench, (struct raft_event){.type = RAFT_EVENT_TICK});
}

void core_bench_timeout(struct core_bench *bench)
{
    core_bench_tick(bench, 0);
    if (bench->update.next_deadline_ms > bench->now_ms) {
        core_bench_tick(bench, bench->update.next_deadline_ms - bench->now_ms);
    }
}

void core_bench_persist(struct core_bench *bench, uint64_t seq)
{
    core_bench_step(bench, (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_seq = seq});
}

void core_bench_persist_all(struct core_bench *bench)
{
    core_bench_persist(bench, bench->seq_issued);
}

struct raft_message core_bench_from(uint32_t member, enum raft_message_type type, uint64_t term)
{
    return (struct raft_message){
        .type = type,
        .from = core_bench_member(member),
        .to = core_bench_member(1),
        .term = term,
    };
}

void core_bench_receive(struct core_bench *bench, struct raft_message message)
{
    core_bench_step(bench, (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = &message});
}

void core_bench_vote_result(struct core_bench *bench, uint32_t from, bool pre_vote, bool granted)
{
    struct raft_message message =
        core_bench_from(from, RAFT_REQUEST_VOTE_RESULT, core_bench_status(bench).term);
    message.request_vote_result =
        (struct raft_request_vote_result){.pre_vote = pre_vote, .granted = granted};
    core_bench_receive(bench, message);
}

void core_bench_ask_vote(struct core_bench *bench,
                         uint32_t from,
                         uint64_t term,
                         struct raft_request_vote asked)
{
    struct raft_message message = core_bench_from(from, RAFT_REQUEST_VOTE, term);
    message.request_vote = asked;
    core_bench_receive(bench, message);
}

void core_bench_append(struct core_bench *bench, struct core_bench_append append)
{
    CHECK(append.count <= ENTRIES_MAX);
    struct raft_entry entries[ENTRIES_MAX];
    struct raft_message message = core_bench_from(append.from, RAFT_APPEND, append.term);
    message.append = (struct raft_append){
        .prev_index = append.prev_index,
        .prev_term = append.prev_term,
        .commit = append.commit,
        .entries = entries,
        .entries_count = append.count,
    };
    for (uint32_t i = 0; i < append.count; i++) {
        entries[i] = (struct raft_entry){
            .term = append.entry_term,
            .index = append.prev_index + 1 + i,
            .kind = RAFT_ENTRY_COMMAND,
            .payload = blob_new(slice_of_string("appended")),
        };
    }
    core_bench_receive(bench, message);
    for (uint32_t i = 0; i < append.count; i++) {
        blob_unref(entries[i].payload);
    }
}

void core_bench_ack(struct core_bench *bench, uint32_t from, uint64_t index)
{
    struct raft_message message =
        core_bench_from(from, RAFT_APPEND_RESULT, core_bench_status(bench).term);
    message.append_result = (struct raft_append_result){.success = true, .index = index};
    core_bench_receive(bench, message);
}

void core_bench_refuse(struct core_bench *bench, uint32_t from, struct raft_append_result refusal)
{
    struct raft_message message =
        core_bench_from(from, RAFT_APPEND_RESULT, core_bench_status(bench).term);
    message.append_result = refusal;
    core_bench_receive(bench, message);
}

void core_bench_heartbeat_result(struct core_bench *bench, uint32_t from, uint64_t probe)
{
    struct raft_message message =
        core_bench_from(from, RAFT_HEARTBEAT_RESULT, core_bench_status(bench).term);
    message.heartbeat_result.probe = probe;
    core_bench_receive(bench, message);
}

enum error core_bench_propose(struct core_bench *bench, const char *text, uint32_t count)
{
    CHECK(count <= ENTRIES_MAX);
    struct raft_proposal proposals[ENTRIES_MAX];
    struct blob *payload = blob_new(slice_of_string(text));
    for (uint32_t i = 0; i < count; i++) {
        proposals[i] = (struct raft_proposal){.kind = RAFT_ENTRY_COMMAND, .payload = payload};
    }
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_PROPOSE,
                                        .propose = {.proposals = proposals, .count = count}});
    blob_unref(payload);
    return bench->update.propose_error;
}

void core_bench_elect(struct core_bench *bench)
{
    core_bench_timeout(bench);
    for (uint32_t from = 2; core_bench_status(bench).role == RAFT_PRE_CANDIDATE; from++) {
        CHECK(from <= RAFT_SERVERS_MAX);
        core_bench_vote_result(bench, from, true, true);
    }
    core_bench_persist_all(bench);
    for (uint32_t from = 2; core_bench_status(bench).role == RAFT_CANDIDATE; from++) {
        CHECK(from <= RAFT_SERVERS_MAX);
        core_bench_vote_result(bench, from, false, true);
    }
    CHECK(core_bench_status(bench).role == RAFT_LEADER);
    core_bench_persist_all(bench);
}

const struct raft_message *core_bench_sent(const struct core_bench *bench,
                                           enum raft_message_type type,
                                           uint32_t to,
                                           uint32_t n)
{
    for (uint32_t i = 0; i < bench->update.messages_count; i++) {
        const struct raft_message *message = &bench->update.messages[i];
        if (message->type == type && member_id_equal(message->to, core_bench_member(to))) {
            if (n == 0) {
                return message;
            }
            n--;
        }
    }
    return NULL;
}

uint32_t core_bench_sent_count(const struct core_bench *bench, enum raft_message_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < bench->update.messages_count; i++) {
        count += bench->update.messages[i].type == type ? 1 : 0;
    }
    return count;
}

struct raft_status core_bench_status(const struct core_bench *bench)
{
    struct raft_status status;
    raft_status(bench->raft, &status);
    return status;
}

struct member_id core_bench_member(uint32_t member)
{
    return (struct member_id){.lo = member};
}
