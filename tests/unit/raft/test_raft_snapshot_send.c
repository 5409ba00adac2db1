/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a peer that needs what the log has forgotten gets a snapshot, at a bounded rate, from where
 * it stands, and the log keeps what it needs afterwards but no more than its bounds. Method: one
 * core on a bench; the test is its peers, its disk and its file. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    CHUNK = 10,
    SIZE = 100,
};

static const struct core_bench_options options = {
    .members = 3, .log_tail_entries = 2, .snapshot_chunk_bytes = CHUNK};

static void take(struct core_bench *bench, uint64_t index, uint64_t size)
{
    uint64_t term = core_bench_status(bench).term;
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied = {.index = index}});
    core_bench_step(bench,
                    (struct raft_event){
                        .type = RAFT_EVENT_SNAPSHOT_TAKEN,
                        .snapshot_taken = {.index = index, .term = term, .size = size}
    });
}

/* A leader of term 1 with entries 1..20, of which peer 3 has none, and a snapshot at 20. */
static struct core_bench *leader_with(const struct core_bench_options *given)
{
    struct core_bench *bench = core_bench_new(given);
    core_bench_elect(bench);
    core_bench_ack(bench, 2, 1);
    assert_int_equal(core_bench_propose(bench, "entry", 19), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 20);
    assert_int_equal(bench->update.commit, 20);
    take(bench, 20, SIZE);
    assert_int_equal(bench->update.log_cut_index, 18);
    return bench;
}

/* Peer 3 says that it has nothing: what it needs is gone. */
static void refuse_all(struct core_bench *bench)
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

static void answer_read(struct core_bench *bench, struct raft_snapshot_read read, enum error error)
{
    static const uint8_t bytes[CHUNK];
    struct blob *chunk = error == ERR_OK ? blob_new(slice_of(bytes, read.length)) : NULL;
    core_bench_step(bench,
                    (struct raft_event){
                        .type = RAFT_EVENT_SNAPSHOT_READ,
                        .snapshot_read = {.peer = read.peer,
                                          .index = read.index,
                                          .offset = read.offset,
                                          .chunk = chunk,
                                          .error = error}
    });
    blob_unref(chunk);
}

static void tell(struct core_bench *bench, uint64_t index, uint64_t offset, bool done)
{
    struct raft_message message = core_bench_from(3, RAFT_INSTALL_SNAPSHOT_RESULT, 1);
    message.install_snapshot_result =
        (struct raft_install_snapshot_result){.last_index = index, .offset = offset, .done = done};
    core_bench_receive(bench, message);
}

static void keep_alive(struct core_bench *bench, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 50) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
}

static void test_a_peer_behind_the_log_is_sent_the_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    assert_true(bench->update.snapshot_reads_count > 0);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    assert_int_equal(read.index, 20);
    assert_int_equal(read.offset, 0);
    assert_int_equal(read.length, CHUNK);
    assert_int_equal(read.peer.lo, 3);
    answer_read(bench, read, ERR_OK);
    const struct raft_message *sent = core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT, 3, 0);
    assert_non_null(sent);
    assert_int_equal(sent->install_snapshot.last_index, 20);
    assert_int_equal(sent->install_snapshot.last_term, 1);
    assert_int_equal(sent->install_snapshot.size, SIZE);
    assert_int_equal(sent->install_snapshot.configuration.count, 3);
    assert_false(sent->install_snapshot.last);
    core_bench_free(bench);
}

static void test_chunks_are_sent_ahead_within_a_window(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    assert_int_equal(bench->update.snapshot_reads_count, 8);
    tell(bench, 20, CHUNK, false);
    assert_int_equal(bench->update.snapshot_reads_count, 1);
    assert_int_equal(bench->update.snapshot_reads[0].offset, 8 * CHUNK);
    core_bench_free(bench);
}

static void test_no_appends_go_to_a_peer_that_is_sent_a_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    assert_int_equal(core_bench_propose(bench, "more", 2), ERR_OK);
    assert_non_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    assert_null(core_bench_sent(bench, RAFT_APPEND, 3, 0));
    core_bench_free(bench);
}

static void test_after_the_snapshot_a_probe_and_only_its_success_moves_the_match(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    tell(bench, 20, SIZE, true);
    const struct raft_message *probe = core_bench_sent(bench, RAFT_APPEND, 3, 0);
    assert_non_null(probe);
    assert_int_equal(probe->append.prev_index, 20);
    assert_int_equal(core_bench_status(bench).peers[1].match_index, 0);
    core_bench_ack(bench, 3, 20);
    assert_int_equal(core_bench_status(bench).peers[1].match_index, 20);
    assert_int_equal(core_bench_status(bench).peers[1].state, RAFT_PEER_REPLICATE);
    core_bench_free(bench);
}

static void test_a_receiver_that_stands_elsewhere_is_followed_after_a_silence(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    tell(bench, 20, 3 * CHUNK, false);
    /* It crashed and lost a part of its file. */
    tell(bench, 20, CHUNK, false);
    assert_int_equal(bench->update.snapshot_reads_count, 0);
    uint64_t lowest = UINT64_MAX;
    for (int i = 0; i < 14; i++) {
        core_bench_tick(bench, 50);
        for (uint32_t j = 0; j < bench->update.snapshot_reads_count; j++) {
            uint64_t offset = bench->update.snapshot_reads[j].offset;
            lowest = offset < lowest ? offset : lowest;
        }
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
    assert_int_equal(lowest, CHUNK);
    core_bench_free(bench);
}

static void test_a_receiver_that_installs_is_asked_from_time_to_time(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    tell(bench, 20, SIZE, false);
    uint32_t asked = 0;
    for (int i = 0; i < 40; i++) {
        core_bench_tick(bench, 50);
        const struct raft_message *sent = core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT, 3, 0);
        if (sent != NULL) {
            asked++;
            assert_int_equal(sent->install_snapshot.chunk->len, 0);
            assert_int_equal(sent->install_snapshot.offset, SIZE);
            assert_true(sent->install_snapshot.last);
        }
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
    assert_in_range(asked, 2, 5);
    core_bench_free(bench);
}

static void test_a_dead_peer_is_sent_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    for (int i = 0; i < 40; i++) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
        bool late = i > 11;
        assert_true(!late || bench->update.snapshot_reads_count == 0);
        assert_true(!late || core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT, 3, 0) == NULL);
    }
    core_bench_free(bench);
}

static void test_the_rate_of_sending_is_bounded(void **state)
{
    (void)state;
    struct core_bench_options slow = options;
    slow.snapshot_bytes_per_s = 100;
    struct core_bench *bench = leader_with(&slow);
    refuse_all(bench);
    uint64_t bytes = 0;
    uint64_t acked = 0;
    uint64_t begin_ms = bench->now_ms;
    while (bench->now_ms < begin_ms + 500) {
        core_bench_tick(bench, 5);
        for (uint32_t i = 0; i < bench->update.snapshot_reads_count; i++) {
            bytes += bench->update.snapshot_reads[i].length;
        }
        acked = bytes;
        tell(bench, 20, acked, false);
        core_bench_heartbeat_result(bench, 2, 0);
    }
    /* 100 bytes a second, half a second, and what the bucket held. */
    assert_in_range(bytes, 4 * CHUNK, 7 * CHUNK);
    core_bench_free(bench);
}

static void test_a_file_that_cannot_be_read_is_replaced(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    refuse_all(bench);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    answer_read(bench, read, ERR_NOT_FOUND);
    assert_true(bench->update.snapshot_wanted);
    assert_int_equal(bench->update.snapshot_reads_count, 0);
    assert_int_equal(core_bench_propose(bench, "more", 5), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 25);
    take(bench, 25, SIZE);
    assert_false(bench->update.snapshot_wanted);
    assert_true(bench->update.snapshot_reads_count > 0);
    assert_int_equal(bench->update.snapshot_reads[0].index, 25);
    core_bench_free(bench);
}

static void grow(struct core_bench *bench, uint32_t count)
{
    uint64_t last = core_bench_status(bench).last_index + count;
    assert_int_equal(core_bench_propose(bench, "entry", count), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, last);
    take(bench, last, SIZE);
}

static void test_a_peer_that_installs_holds_back_a_bounded_part_of_the_log(void **state)
{
    (void)state;
    /* An entry costs 37 bytes: two in a tail, and eight in four of them. */
    struct core_bench_options bounded = options;
    bounded.log_tail_bytes = 2 * 37 + 1;
    struct core_bench *bench = leader_with(&bounded);
    refuse_all(bench);
    grow(bench, 4);
    /* The tail would begin behind 22; the peer will need 21. */
    assert_int_equal(bench->update.log_cut_index, 20);
    keep_alive(bench, 100);
    grow(bench, 20);
    /* That would be too much: it is sent the newer snapshot now. */
    assert_int_equal(bench->update.log_cut_index, 44 - 8);
    keep_alive(bench, 100);
    assert_int_equal(core_bench_status(bench).peers[1].snapshot_index, 44);
    core_bench_free(bench);
}

static void test_the_log_in_memory_is_bounded_by_snapshots(void **state)
{
    (void)state;
    struct core_bench_options bounded = {.members = 1, .log_tail_entries = 5};
    struct core_bench *bench = core_bench_new(&bounded);
    core_bench_timeout(bench);
    core_bench_persist_all(bench);
    core_bench_persist_all(bench);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(core_bench_propose(bench, "0123456789", 20), ERR_OK);
        core_bench_persist_all(bench);
        take(bench, bench->update.commit, SIZE);
        struct raft_status status = core_bench_status(bench);
        assert_int_equal(status.last_index + 1 - status.first_index, 5);
        assert_true(status.log_bytes < 5 * 60);
        assert_int_equal(bench->update.log_cut_index, status.first_index - 1);
    }
    core_bench_free(bench);
}

static void test_a_snapshot_older_than_the_latest_changes_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = leader_with(&options);
    core_bench_step(bench,
                    (struct raft_event){
                        .type = RAFT_EVENT_SNAPSHOT_TAKEN,
                        .snapshot_taken = {.index = 19, .term = 1, .size = SIZE}
    });
    assert_int_equal(core_bench_status(bench).snapshot.index, 20);
    core_bench_free(bench);
}

static void test_a_peer_that_lost_what_it_acknowledged_is_told_and_gets_nothing(void **state)
{
    (void)state;
    struct core_bench_options all = {.members = 3};
    struct core_bench *bench = core_bench_new(&all);
    core_bench_elect(bench);
    core_bench_ack(bench, 2, 1);
    assert_int_equal(core_bench_propose(bench, "entry", 9), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 10);
    core_bench_ack(bench, 3, 10);
    bool alarmed = false;
    core_bench_step(
        bench, (struct raft_event){.type = RAFT_EVENT_PEER_ALIVE, .peer = core_bench_member(3)});
    for (int i = 0; i < 60; i++) {
        const struct raft_message *probe = core_bench_sent(bench, RAFT_APPEND, 3, 0);
        assert_true(probe == NULL || probe->append.prev_index == 10);
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_refuse(bench, 3, (struct raft_append_result){.index = 10});
        alarmed = alarmed || bench->update.peer_regressed.lo == 3;
        core_bench_tick(bench, 50);
    }
    assert_true(alarmed);
    assert_true(core_bench_status(bench).peers[1].regressed);
    assert_int_equal(core_bench_status(bench).peers[1].match_index, 10);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_behind_the_log_is_sent_the_snapshot),
        cmocka_unit_test(test_chunks_are_sent_ahead_within_a_window),
        cmocka_unit_test(test_no_appends_go_to_a_peer_that_is_sent_a_snapshot),
        cmocka_unit_test(test_after_the_snapshot_a_probe_and_only_its_success_moves_the_match),
        cmocka_unit_test(test_a_receiver_that_stands_elsewhere_is_followed_after_a_silence),
        cmocka_unit_test(test_a_receiver_that_installs_is_asked_from_time_to_time),
        cmocka_unit_test(test_a_dead_peer_is_sent_nothing),
        cmocka_unit_test(test_the_rate_of_sending_is_bounded),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_replaced),
        cmocka_unit_test(test_a_peer_that_installs_holds_back_a_bounded_part_of_the_log),
        cmocka_unit_test(test_the_log_in_memory_is_bounded_by_snapshots),
        cmocka_unit_test(test_a_snapshot_older_than_the_latest_changes_nothing),
        cmocka_unit_test(test_a_peer_that_lost_what_it_acknowledged_is_told_and_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
