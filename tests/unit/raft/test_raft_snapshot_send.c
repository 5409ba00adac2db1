/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a peer that needs what the log has forgotten gets a snapshot, at a bounded rate, from where
 * it stands. Method: one core on a bench; the test is its peers, its disk and its file. */
#include "snapshot_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void answer_read(struct core_bench *bench, struct raft_snapshot_read read, enum error error)
{
    static const uint8_t bytes[SNAPSHOT_BENCH_CHUNK];
    struct blob *chunk = error == ERR_OK ? blob_new(slice_of(bytes, read.length)) : NULL;
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_READ,
                                        .snapshot_read = {.peer = read.peer,
                                                          .index = read.index,
                                                          .offset = read.offset,
                                                          .chunk = chunk,
                                                          .error = error}});
    blob_unref(chunk);
}

static void test_a_peer_behind_the_log_is_sent_the_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    assert_true(bench->update.snapshot_reads_count > 0);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    assert_int_equal(read.index, 20);
    assert_int_equal(read.offset, 0);
    assert_int_equal(read.length, SNAPSHOT_BENCH_CHUNK);
    assert_int_equal(read.peer.lo, 3);
    answer_read(bench, read, ERR_OK);
    const struct raft_message *sent = core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT, 3, 0);
    assert_non_null(sent);
    assert_int_equal(sent->install_snapshot.last_index, 20);
    assert_int_equal(sent->install_snapshot.last_term, 1);
    assert_int_equal(sent->install_snapshot.size, SNAPSHOT_BENCH_FILE_SIZE);
    assert_int_equal(sent->install_snapshot.configuration.count, 3);
    assert_false(sent->install_snapshot.last);
    core_bench_free(bench);
}

static void test_chunks_are_sent_ahead_within_a_window(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    assert_int_equal(bench->update.snapshot_reads_count, 8);
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_CHUNK, false);
    assert_int_equal(bench->update.snapshot_reads_count, 1);
    assert_int_equal(bench->update.snapshot_reads[0].offset, 8 * SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
}

static void test_no_appends_go_to_a_peer_that_is_sent_a_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    assert_int_equal(core_bench_propose(bench, "more", 2), ERR_OK);
    assert_non_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    assert_null(core_bench_sent(bench, RAFT_APPEND, 3, 0));
    core_bench_free(bench);
}

static void test_after_the_snapshot_a_probe_and_only_its_success_moves_the_match(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_FILE_SIZE, true);
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
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    snapshot_bench_tell(bench, 20, 3 * SNAPSHOT_BENCH_CHUNK, false);
    /* It crashed and lost a part of its file. */
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_CHUNK, false);
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
    assert_int_equal(lowest, SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
}

static void test_a_receiver_that_says_nothing_is_sent_one_chunk_at_a_time(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    uint32_t reads = 0;
    for (int i = 0; i < 40; i++) {
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
        core_bench_tick(bench, 50);
        reads += bench->update.snapshot_reads_count;
    }
    /* Once in an election timeout. */
    assert_in_range(reads, 3, 5);
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_CHUNK, false);
    assert_int_equal(bench->update.snapshot_reads_count, 8);
    core_bench_free(bench);
}

static void test_a_receiver_that_installs_is_asked_from_time_to_time(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_FILE_SIZE, false);
    uint32_t asked = 0;
    for (int i = 0; i < 40; i++) {
        core_bench_tick(bench, 50);
        const struct raft_message *sent = core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT, 3, 0);
        if (sent != NULL) {
            asked++;
            assert_int_equal(sent->install_snapshot.chunk->len, 0);
            assert_int_equal(sent->install_snapshot.offset, SNAPSHOT_BENCH_FILE_SIZE);
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
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
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
    struct core_bench_options slow = snapshot_bench_leads;
    slow.snapshot_bytes_per_s = 100;
    struct core_bench *bench = snapshot_bench_leader(&slow);
    snapshot_bench_refuse_all(bench);
    uint64_t bytes = 0;
    uint64_t acked = 0;
    uint64_t begin_ms = bench->now_ms;
    while (bench->now_ms < begin_ms + 500) {
        core_bench_tick(bench, 5);
        for (uint32_t i = 0; i < bench->update.snapshot_reads_count; i++) {
            bytes += bench->update.snapshot_reads[i].length;
        }
        acked = bytes;
        snapshot_bench_tell(bench, 20, acked, false);
        core_bench_heartbeat_result(bench, 2, 0);
    }
    /* 100 bytes a second, half a second, and what the bucket held. */
    assert_in_range(bytes, 4 * SNAPSHOT_BENCH_CHUNK, 7 * SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
}

static void test_a_file_that_is_gone_or_bad_is_replaced(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    answer_read(bench, read, ERR_NOT_FOUND);
    assert_true(bench->update.snapshot_wanted);
    assert_int_equal(bench->update.snapshot_reads_count, 0);
    assert_int_equal(core_bench_propose(bench, "more", 5), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 25);
    snapshot_bench_take(bench, 25, SNAPSHOT_BENCH_FILE_SIZE);
    assert_false(bench->update.snapshot_wanted);
    assert_true(bench->update.snapshot_reads_count > 0);
    assert_int_equal(bench->update.snapshot_reads[0].index, 25);
    core_bench_free(bench);
}

static void test_a_file_that_cannot_be_read_just_now_is_read_again_and_not_at_once(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    answer_read(bench, read, ERR_IO);
    assert_false(bench->update.snapshot_wanted);
    assert_int_equal(bench->update.snapshot_reads_count, 0);
    assert_int_equal(core_bench_status(bench).snapshot.index, 20);
    uint64_t failed_ms = bench->now_ms;
    while (bench->update.snapshot_reads_count == 0) {
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
        core_bench_tick(bench, 10);
    }
    assert_in_range(bench->now_ms - failed_ms, 200, 600);
    assert_int_equal(bench->update.snapshot_reads[0].index, 20);
    assert_int_equal(bench->update.snapshot_reads[0].offset, 0);
    core_bench_free(bench);
}

static void test_a_newer_snapshot_takes_the_place_of_one_that_cannot_be_read(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    assert_int_equal(core_bench_propose(bench, "more", 5), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 25);
    snapshot_bench_take(bench, 25, SNAPSHOT_BENCH_FILE_SIZE);
    answer_read(bench, read, ERR_IO);
    assert_true(bench->update.snapshot_reads_count > 0);
    assert_int_equal(bench->update.snapshot_reads[0].index, 25);
    core_bench_free(bench);
}

static void test_bytes_that_are_not_of_the_file_give_it_up(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    struct raft_snapshot_read read = bench->update.snapshot_reads[0];
    /* More than there is behind that offset, and nothing at all. */
    read.offset = SNAPSHOT_BENCH_FILE_SIZE - 1;
    answer_read(bench, read, ERR_OK);
    assert_true(bench->update.snapshot_wanted);
    core_bench_free(bench);
    bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    read = bench->update.snapshot_reads[0];
    read.length = 0;
    answer_read(bench, read, ERR_OK);
    assert_true(bench->update.snapshot_wanted);
    core_bench_free(bench);
}

static void test_the_same_file_may_be_offered_again(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    answer_read(bench, bench->update.snapshot_reads[0], ERR_NOT_FOUND);
    assert_true(bench->update.snapshot_wanted);
    snapshot_bench_take(bench, 20, SNAPSHOT_BENCH_FILE_SIZE);
    assert_false(bench->update.snapshot_wanted);
    assert_true(bench->update.snapshot_reads_count > 0);
    assert_int_equal(bench->update.snapshot_reads[0].index, 20);
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
        cmocka_unit_test(test_a_receiver_that_says_nothing_is_sent_one_chunk_at_a_time),
        cmocka_unit_test(test_a_receiver_that_installs_is_asked_from_time_to_time),
        cmocka_unit_test(test_a_dead_peer_is_sent_nothing),
        cmocka_unit_test(test_the_rate_of_sending_is_bounded),
        cmocka_unit_test(test_a_file_that_is_gone_or_bad_is_replaced),
        cmocka_unit_test(test_a_file_that_cannot_be_read_just_now_is_read_again_and_not_at_once),
        cmocka_unit_test(test_a_newer_snapshot_takes_the_place_of_one_that_cannot_be_read),
        cmocka_unit_test(test_bytes_that_are_not_of_the_file_give_it_up),
        cmocka_unit_test(test_the_same_file_may_be_offered_again),
        cmocka_unit_test(test_a_peer_that_lost_what_it_acknowledged_is_told_and_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
