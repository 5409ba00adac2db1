/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever a crash left of log, snapshot and store, a member starts from what is durable, and
 * heals a log that did not follow an install. Method: one core made from each such rest. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t ones[] = {1, 1, 1, 1, 1, 1};
static const uint64_t twos[] = {2, 2, 2, 2, 2, 2};

static void test_a_log_that_goes_on_behind_the_snapshot_is_used(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){.members = 3,
                                                                           .term = 1,
                                                                           .terms = ones,
                                                                           .entries_count = 6,
                                                                           .first_index = 11,
                                                                           .snapshot_index = 10,
                                                                           .snapshot_term = 1});
    struct raft_status status = core_bench_status(bench);
    assert_int_equal(status.first_index, 11);
    assert_int_equal(status.last_index, 16);
    assert_int_equal(status.commit, 10);
    core_bench_tick(bench, 1);
    assert_int_equal(bench->update.write.seq, 0);
    core_bench_free(bench);
}

static void test_a_tail_before_the_snapshot_is_kept(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){.members = 3,
                                                                           .term = 1,
                                                                           .terms = ones,
                                                                           .entries_count = 6,
                                                                           .first_index = 8,
                                                                           .snapshot_index = 10,
                                                                           .snapshot_term = 1});
    struct raft_status status = core_bench_status(bench);
    /* The first entry is the base: what lies before it is not known. */
    assert_int_equal(status.first_index, 9);
    assert_int_equal(status.last_index, 13);
    assert_int_equal(status.configuration_index, 10);
    core_bench_tick(bench, 1);
    assert_int_equal(bench->update.write.seq, 0);
    core_bench_free(bench);
}

static void expect_restart(const struct core_bench_options *options)
{
    struct core_bench *bench = core_bench_new(options);
    struct raft_status status = core_bench_status(bench);
    assert_int_equal(status.last_index, options->snapshot_index);
    assert_int_equal(status.first_index, options->snapshot_index + 1);
    assert_int_equal(status.durable_index, options->snapshot_index);
    assert_int_equal(status.commit, options->snapshot_index);
    core_bench_tick(bench, 1);
    assert_int_equal(bench->update.write.restart_index, options->snapshot_index);
    assert_int_equal(bench->update.write.restart_term, options->snapshot_term);
    core_bench_persist_all(bench);
    core_bench_free(bench);
}

static void test_a_log_behind_an_installed_snapshot_is_restarted(void **state)
{
    (void)state;
    expect_restart(&(struct core_bench_options){.members = 3,
                                                .term = 1,
                                                .terms = ones,
                                                .entries_count = 6,
                                                .snapshot_index = 50,
                                                .snapshot_term = 1});
}

static void test_a_log_beside_an_installed_snapshot_is_restarted(void **state)
{
    (void)state;
    /* Longer than the snapshot, of another term there: none of it was ever committed. */
    expect_restart(&(struct core_bench_options){.members = 3,
                                                .term = 2,
                                                .terms = ones,
                                                .entries_count = 6,
                                                .snapshot_index = 4,
                                                .snapshot_term = 2});
}

static void test_an_empty_log_with_a_snapshot_begins_behind_it(void **state)
{
    (void)state;
    expect_restart(&(struct core_bench_options){
        .members = 3, .term = 7, .snapshot_index = 50, .snapshot_term = 3});
}

static void test_a_log_goes_through_what_it_holds_or_begins_behind(void **state)
{
    (void)state;
    const struct raft_entry entries[] = {
        {.term = 2, .index = 11},
        {.term = 3, .index = 12},
    };
    const struct raft_log_span log = {.first_index = 11, .entries = entries, .entries_count = 2};
    assert_true(raft_log_goes_through(&log, 10, 9));
    assert_true(raft_log_goes_through(&log, 11, 2));
    assert_true(raft_log_goes_through(&log, 12, 3));
    /* A hole; another history; a log that ends before. */
    assert_false(raft_log_goes_through(&log, 9, 2));
    assert_false(raft_log_goes_through(&log, 12, 4));
    assert_false(raft_log_goes_through(&log, 13, 3));
    const struct raft_log_span empty = {.first_index = 11};
    assert_true(raft_log_goes_through(&empty, 10, 1));
    assert_false(raft_log_goes_through(&empty, 11, 1));
}

static void test_a_term_that_only_the_snapshot_knows_is_adopted_without_a_vote(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){
        .members = 3, .term = 2, .vote = 3, .snapshot_index = 50, .snapshot_term = 4});
    assert_int_equal(core_bench_status(bench).term, 4);
    assert_true(member_id_is_none(core_bench_status(bench).vote));
    core_bench_tick(bench, 1);
    assert_true(bench->update.write.has_hard_state);
    assert_int_equal(bench->update.write.hard_state.term, 4);
    core_bench_free(bench);
}

static void test_a_restarted_member_votes_by_its_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){
        .members = 3, .term = 2, .snapshot_index = 50, .snapshot_term = 2});
    core_bench_ask_vote(bench, 2, 3, (struct raft_request_vote){.last_index = 49, .last_term = 2});
    assert_true(member_id_is_none(core_bench_status(bench).vote));
    core_bench_ask_vote(bench, 2, 4, (struct raft_request_vote){.last_index = 50, .last_term = 2});
    assert_int_equal(core_bench_status(bench).vote.lo, 2);
    core_bench_free(bench);
}

static void test_entries_that_reach_over_the_base_are_taken_from_there(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){
        .members = 3, .term = 1, .snapshot_index = 10, .snapshot_term = 1});
    core_bench_append(bench,
                      (struct core_bench_append){.from = 2,
                                                 .term = 1,
                                                 .prev_index = 7,
                                                 .prev_term = 1,
                                                 .commit = 10,
                                                 .entry_term = 1,
                                                 .count = 5});
    core_bench_persist_all(bench);
    assert_int_equal(core_bench_status(bench).last_index, 12);
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0)->append_result.index, 12);
    core_bench_free(bench);
}

static void test_entries_that_contradict_the_base_are_not_taken(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){.members = 3,
                                                                           .term = 2,
                                                                           .terms = twos,
                                                                           .entries_count = 1,
                                                                           .first_index = 11,
                                                                           .snapshot_index = 10,
                                                                           .snapshot_term = 2});
    core_bench_append(bench,
                      (struct core_bench_append){.from = 2,
                                                 .term = 2,
                                                 .prev_index = 7,
                                                 .prev_term = 1,
                                                 .commit = 10,
                                                 .entry_term = 1,
                                                 .count = 5});
    assert_int_equal(core_bench_status(bench).last_index, 11);
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_that_goes_on_behind_the_snapshot_is_used),
        cmocka_unit_test(test_a_tail_before_the_snapshot_is_kept),
        cmocka_unit_test(test_a_log_behind_an_installed_snapshot_is_restarted),
        cmocka_unit_test(test_a_log_beside_an_installed_snapshot_is_restarted),
        cmocka_unit_test(test_an_empty_log_with_a_snapshot_begins_behind_it),
        cmocka_unit_test(test_a_log_goes_through_what_it_holds_or_begins_behind),
        cmocka_unit_test(test_a_term_that_only_the_snapshot_knows_is_adopted_without_a_vote),
        cmocka_unit_test(test_a_restarted_member_votes_by_its_snapshot),
        cmocka_unit_test(test_entries_that_reach_over_the_base_are_taken_from_there),
        cmocka_unit_test(test_entries_that_contradict_the_base_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
