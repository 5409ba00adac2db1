/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the log keeps what peers need that are sent a snapshot, or have installed one and not yet
 * caught up, but no more than its bounds. Method: one core on a bench; the test is its peers, its
 * disk and its file. */
#include "snapshot_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void grow(struct core_bench *bench, uint32_t count)
{
    uint64_t last = core_bench_status(bench).last_index + count;
    assert_int_equal(core_bench_propose(bench, "entry", count), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, last);
    snapshot_bench_take(bench, last, SNAPSHOT_BENCH_FILE_SIZE);
}

static void test_a_peer_that_installs_holds_back_a_bounded_part_of_the_log(void **state)
{
    (void)state;
    /* An entry costs 37 bytes: two in a tail, and eight in four of them. */
    struct core_bench_options bounded = snapshot_bench_leads;
    bounded.log_tail_bytes = 2 * 37 + 1;
    struct core_bench *bench = snapshot_bench_leader(&bounded);
    snapshot_bench_refuse_all(bench);
    grow(bench, 4);
    /* The tail would begin behind 22; the peer will need 21. */
    assert_int_equal(bench->update.log_cut_index, 20);
    snapshot_bench_keep_alive(bench, 100);
    grow(bench, 20);
    /* That would be too much: it is sent the newer snapshot now. */
    assert_int_equal(bench->update.log_cut_index, 44 - 8);
    snapshot_bench_keep_alive(bench, 100);
    assert_int_equal(core_bench_status(bench).peers[1].snapshot_index, 44);
    core_bench_free(bench);
}

static void test_what_follows_an_installed_snapshot_outlives_a_newer_one(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    snapshot_bench_keep_alive(bench, 100);
    grow(bench, 4);
    /* The peer installs the older one, and is sent what comes behind it, not the newer one. */
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_FILE_SIZE, true);
    const struct raft_message *probe = core_bench_sent(bench, RAFT_APPEND, 3, 0);
    assert_non_null(probe);
    assert_int_equal(probe->append.prev_index, 20);
    assert_int_equal(core_bench_status(bench).peers[1].state, RAFT_PEER_PROBE);
    /* It takes a while, and snapshots go on being taken. */
    snapshot_bench_keep_alive(bench, 600);
    grow(bench, 4);
    assert_int_equal(bench->update.log_cut_index, 20);
    core_bench_ack(bench, 3, 22);
    grow(bench, 4);
    assert_int_equal(bench->update.log_cut_index, 22);
    /* Once it has caught up the log is cut as ever. */
    core_bench_ack(bench, 3, 32);
    grow(bench, 4);
    assert_int_equal(bench->update.log_cut_index, 34);
    core_bench_free(bench);
}

static void test_no_snapshot_is_asked_for_that_would_cost_a_peer_its_file_for_nothing(void **state)
{
    (void)state;
    struct core_bench_options bounded = snapshot_bench_leads;
    bounded.log_tail_bytes = 2 * 37 + 1;
    struct core_bench *bench = snapshot_bench_leader(&bounded);
    snapshot_bench_refuse_all(bench);
    /* The one that is sent is the latest: the next one leaves it in its place. */
    assert_false(core_bench_status(bench).snapshot_held);
    grow(bench, 4);
    assert_true(core_bench_status(bench).snapshot_held);
    /* More has come than is held back: another one makes an end of it. */
    assert_int_equal(core_bench_propose(bench, "entry", 8), ERR_OK);
    assert_false(core_bench_status(bench).snapshot_held);
    core_bench_free(bench);
}

static void test_a_dead_peer_keeps_no_snapshot_from_being_taken(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    grow(bench, 4);
    assert_true(core_bench_status(bench).snapshot_held);
    for (int i = 0; i < 15; i++) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
    }
    assert_false(core_bench_status(bench).snapshot_held);
    core_bench_free(bench);
}

static void test_a_peer_that_dies_behind_its_snapshot_holds_nothing_back(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    snapshot_bench_refuse_all(bench);
    snapshot_bench_tell(bench, 20, SNAPSHOT_BENCH_FILE_SIZE, true);
    for (int i = 0; i < 15; i++) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
    }
    grow(bench, 8);
    assert_int_equal(bench->update.log_cut_index, 26);
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
        snapshot_bench_take(bench, bench->update.commit, SNAPSHOT_BENCH_FILE_SIZE);
        struct raft_status status = core_bench_status(bench);
        assert_int_equal(status.last_index + 1 - status.first_index, 5);
        assert_true(status.log_bytes < 5 * 60);
        assert_int_equal(bench->update.log_cut_index, status.first_index - 1);
    }
    core_bench_free(bench);
}

static void test_what_was_applied_while_a_snapshot_was_written_is_kept(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    assert_int_equal(core_bench_propose(bench, "entry", 10), ERR_OK);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 30);
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied = {.index = 30}});
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN,
                                        .snapshot_taken = {.index = 24,
                                                           .term = core_bench_status(bench).term,
                                                           .size = SNAPSHOT_BENCH_FILE_SIZE}});
    assert_int_equal(bench->update.log_cut_index, 22);
    assert_int_equal(core_bench_status(bench).first_index, 23);
    core_bench_free(bench);
}

static void test_a_snapshot_older_than_the_latest_changes_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = snapshot_bench_leader(&snapshot_bench_leads);
    core_bench_step(
        bench,
        (struct raft_event){
            .type = RAFT_EVENT_SNAPSHOT_TAKEN,
            .snapshot_taken = {.index = 19, .term = 1, .size = SNAPSHOT_BENCH_FILE_SIZE}});
    assert_int_equal(core_bench_status(bench).snapshot.index, 20);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_that_installs_holds_back_a_bounded_part_of_the_log),
        cmocka_unit_test(test_what_follows_an_installed_snapshot_outlives_a_newer_one),
        cmocka_unit_test(test_no_snapshot_is_asked_for_that_would_cost_a_peer_its_file_for_nothing),
        cmocka_unit_test(test_a_dead_peer_keeps_no_snapshot_from_being_taken),
        cmocka_unit_test(test_a_peer_that_dies_behind_its_snapshot_holds_nothing_back),
        cmocka_unit_test(test_the_log_in_memory_is_bounded_by_snapshots),
        cmocka_unit_test(test_what_was_applied_while_a_snapshot_was_written_is_kept),
        cmocka_unit_test(test_a_snapshot_older_than_the_latest_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
