/* SPDX-License-Identifier: Apache-2.0 */
/* Ready-made chunks, answers, and ends of writes and installs. */
#include "snapshot_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t terms[] = {1, 1, 1};
const struct core_bench_options snapshot_bench_three = {.members = 3, .term = 1};
const struct core_bench_options snapshot_bench_three_entries = {
    .members = 3, .term = 1, .terms = terms, .entries_count = 3};

const struct core_bench_options snapshot_bench_leads = {
    .members = 3, .log_tail_entries = 2, .snapshot_chunk_bytes = SNAPSHOT_BENCH_CHUNK};

struct raft_message snapshot_bench_message(struct snapshot_bench_sent sent, struct blob *chunk)
{
    struct raft_message message = core_bench_from(sent.from, RAFT_INSTALL_SNAPSHOT, sent.term);
    message.install_snapshot = (struct raft_install_snapshot){
        .last_index = sent.index,
        .last_term = 1,
        .size = SNAPSHOT_BENCH_SIZE,
        .offset = sent.offset,
        .last = sent.offset + chunk->len == SNAPSHOT_BENCH_SIZE,
        .chunk = chunk,
        .configuration = {.count = 4},
    };
    for (uint32_t i = 0; i < 4; i++) {
        message.install_snapshot.configuration.servers[i] =
            (struct raft_server){.id = core_bench_member(i + 1), .voter = true};
    }
    return message;
}

void snapshot_bench_send(struct core_bench *bench, struct snapshot_bench_sent sent)
{
    struct blob *chunk = blob_new(slice_of("0123456789", SNAPSHOT_BENCH_CHUNK));
    core_bench_receive(bench, snapshot_bench_message(sent, chunk));
    blob_unref(chunk);
}

void snapshot_bench_written(struct core_bench *bench,
                            uint64_t index,
                            uint64_t offset,
                            enum error error)
{
    core_bench_step(bench,
                    (struct raft_event){
                        .type = RAFT_EVENT_SNAPSHOT_WRITTEN,
                        .snapshot_written = {.index = index, .offset = offset, .error = error}});
}

void snapshot_bench_installed(struct core_bench *bench, uint64_t index, enum error error)
{
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
                                        .snapshot_installed = {.index = index, .error = error}});
}

void snapshot_bench_send_all(struct core_bench *bench, uint64_t term, uint64_t index)
{
    for (uint64_t offset = 0; offset < SNAPSHOT_BENCH_SIZE; offset += SNAPSHOT_BENCH_CHUNK) {
        snapshot_bench_send(bench,
                            (struct snapshot_bench_sent){
                                .from = 2, .term = term, .index = index, .offset = offset});
        assert_int_equal(bench->update.snapshot_write.index, index);
        assert_int_equal(bench->update.snapshot_write.offset, offset);
        assert_int_equal(bench->update.snapshot_write.chunk->len, SNAPSHOT_BENCH_CHUNK);
        snapshot_bench_written(bench, index, offset + SNAPSHOT_BENCH_CHUNK, ERR_OK);
    }
}

const struct raft_install_snapshot_result *snapshot_bench_told(const struct core_bench *bench)
{
    const struct raft_message *message = core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT_RESULT, 2, 0);
    assert_non_null(message);
    return &message->install_snapshot_result;
}

void snapshot_bench_take(struct core_bench *bench, uint64_t index, uint64_t size)
{
    uint64_t term = core_bench_status(bench).term;
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied = {.index = index}});
    core_bench_step(
        bench,
        (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN,
                            .snapshot_taken = {.index = index, .term = term, .size = size}});
}

struct core_bench *snapshot_bench_leader(const struct core_bench_options *given)
{
    struct core_bench *bench = core_bench_new(given);
    core_bench_elect(bench);
    core_bench_ack(bench, 2, 1);
    assert_int_equal(core_bench_propose(bench, "entry", 19), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 20);
    assert_int_equal(bench->update.commit, 20);
    snapshot_bench_take(bench, 20, SNAPSHOT_BENCH_FILE_SIZE);
    assert_int_equal(bench->update.log_cut_index, 18);
    return bench;
}

void snapshot_bench_refuse_all(struct core_bench *bench)
{
    core_bench_tick(bench, 300);
    for (int i = 0; i < 30 && bench->update.snapshot_reads_count == 0; i++) {
        struct raft_status status = core_bench_status(bench);
        if (status.peers[1].state == RAFT_PEER_SNAPSHOT) {
            return;
        }
        core_bench_refuse(
            bench, 3, (struct raft_append_result){.index = status.peers[1].next_index - 1});
    }
}

void snapshot_bench_tell(struct core_bench *bench, uint64_t index, uint64_t offset, bool done)
{
    struct raft_message message = core_bench_from(3, RAFT_INSTALL_SNAPSHOT_RESULT, 1);
    message.install_snapshot_result =
        (struct raft_install_snapshot_result){.last_index = index, .offset = offset, .done = done};
    core_bench_receive(bench, message);
}

void snapshot_bench_keep_alive(struct core_bench *bench, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 50) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
}
