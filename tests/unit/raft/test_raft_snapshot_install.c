/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a follower exchanges its state for a snapshot without losing a vote, a term or an
 * acknowledged entry, and hands nothing out meanwhile. Method: one core on a bench; the test is its
 * leader, its disk and its file. */
#include "snapshot_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_snapshot_is_written_installed_and_the_log_begins_anew(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    assert_int_equal(bench->update.snapshot_install.term, 1);
    assert_int_equal(bench->update.snapshot_install.configuration.count, 4);
    snapshot_bench_installed(bench, 50, ERR_OK);
    assert_true(snapshot_bench_told(bench)->done);
    assert_int_equal(bench->update.write.restart_index, 50);
    assert_int_equal(bench->update.write.restart_term, 1);
    assert_int_equal(bench->update.commit, 50);
    struct raft_status status = core_bench_status(bench);
    assert_int_equal(status.last_index, 50);
    assert_int_equal(status.first_index, 51);
    assert_int_equal(status.snapshot.index, 50);
    assert_int_equal(status.configuration.count, 4);
    assert_int_equal(status.configuration_index, 50);
    core_bench_free(bench);
}

static void test_entries_go_on_behind_an_installed_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send_all(bench, 1, 50);
    snapshot_bench_installed(bench, 50, ERR_OK);
    core_bench_append(bench,
                      (struct core_bench_append){.from = 2,
                                                 .term = 1,
                                                 .prev_index = 50,
                                                 .prev_term = 1,
                                                 .commit = 52,
                                                 .entry_term = 1,
                                                 .count = 2});
    core_bench_persist_all(bench);
    const struct raft_message *ack = core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0);
    assert_true(ack->append_result.success);
    assert_int_equal(ack->append_result.index, 52);
    assert_int_equal(bench->update.commit, 52);
    core_bench_free(bench);
}

static void test_nothing_is_appended_or_committed_while_a_snapshot_is_installed(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send_all(bench, 1, 50);
    core_bench_append(bench,
                      (struct core_bench_append){.from = 3,
                                                 .term = 2,
                                                 .prev_index = 3,
                                                 .prev_term = 1,
                                                 .commit = 5,
                                                 .entry_term = 2,
                                                 .count = 60});
    assert_int_equal(core_bench_status(bench).last_index, 3);
    assert_null(core_bench_sent(bench, RAFT_APPEND_RESULT, 3, 0));
    assert_int_equal(bench->update.commit, 0);
    snapshot_bench_installed(bench, 50, ERR_OK);
    assert_int_equal(core_bench_status(bench).last_index, 50);
    core_bench_free(bench);
}

static void test_what_becomes_durable_during_an_install_is_not_handed_out(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    core_bench_append(bench,
                      (struct core_bench_append){.from = 2,
                                                 .term = 1,
                                                 .prev_index = 3,
                                                 .prev_term = 1,
                                                 .commit = 5,
                                                 .entry_term = 1,
                                                 .count = 2});
    assert_int_equal(bench->update.commit, 3);
    /* The log's disk hangs, the snapshot's does not. */
    snapshot_bench_send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    core_bench_persist_all(bench);
    assert_int_equal(core_bench_status(bench).durable_index, 5);
    assert_int_equal(bench->update.commit, 3);
    snapshot_bench_installed(bench, 50, ERR_CORRUPT);
    assert_int_equal(bench->update.commit, 5);
    core_bench_free(bench);
}

static void test_who_installs_does_not_campaign_but_votes(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send_all(bench, 1, 50);
    core_bench_tick(bench, 3000);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    core_bench_ask_vote(bench, 3, 2, (struct raft_request_vote){.last_index = 60, .last_term = 1});
    assert_int_equal(core_bench_status(bench).vote.lo, 3);
    core_bench_free(bench);
}

static void test_a_vote_given_during_an_install_survives_it(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send_all(bench, 1, 50);
    core_bench_tick(bench, 3000);
    core_bench_ask_vote(bench, 3, 2, (struct raft_request_vote){.last_index = 60, .last_term = 1});
    uint64_t vote_seq = bench->seq_issued;
    snapshot_bench_installed(bench, 50, ERR_OK);
    assert_int_equal(bench->update.write.restart_index, 50);
    assert_true(bench->update.write.seq > vote_seq);
    core_bench_persist_all(bench);
    const struct raft_message *vote = core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0);
    assert_non_null(vote);
    assert_true(vote->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_file_that_does_not_verify_is_asked_for_again(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send_all(bench, 1, 50);
    snapshot_bench_installed(bench, 50, ERR_CORRUPT);
    assert_false(snapshot_bench_told(bench)->done);
    assert_int_equal(snapshot_bench_told(bench)->offset, 0);
    assert_int_equal(core_bench_status(bench).last_index, 3);
    snapshot_bench_send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_is_written_installed_and_the_log_begins_anew),
        cmocka_unit_test(test_entries_go_on_behind_an_installed_snapshot),
        cmocka_unit_test(test_nothing_is_appended_or_committed_while_a_snapshot_is_installed),
        cmocka_unit_test(test_what_becomes_durable_during_an_install_is_not_handed_out),
        cmocka_unit_test(test_who_installs_does_not_campaign_but_votes),
        cmocka_unit_test(test_a_vote_given_during_an_install_survives_it),
        cmocka_unit_test(test_a_file_that_does_not_verify_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
