/* SPDX-License-Identifier: Apache-2.0 */
/* How peers hear of a commit. Goal: at once, and without a message more than is needed. Method: one
 * leader, its peers' answers by hand. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static struct core_bench *leader_of(const struct core_bench_options *options)
{
    struct core_bench *bench = core_bench_new(options);
    core_bench_elect(bench);
    return bench;
}

static void test_a_commit_is_told_at_once_also_to_who_has_not_acknowledged_it(void **state)
{
    (void)state;
    struct core_bench *bench = leader_of(&three);
    core_bench_ack(bench, 2, 1);
    assert_null(core_bench_sent(bench, RAFT_HEARTBEAT, 3, 0));
    assert_true(bench->update.next_deadline_ms <= bench->now_ms + 2);
    core_bench_tick(bench, 2);
    assert_int_equal(core_bench_sent(bench, RAFT_HEARTBEAT, 2, 0)->heartbeat.commit, 1);
    assert_int_equal(core_bench_sent(bench, RAFT_HEARTBEAT, 3, 0)->heartbeat.commit, 1);
    core_bench_tick(bench, 2);
    assert_null(core_bench_sent(bench, RAFT_HEARTBEAT, 3, 0));
    core_bench_free(bench);
}

static void test_a_commit_that_an_append_tells_costs_no_message(void **state)
{
    (void)state;
    struct core_bench *bench = leader_of(&three);
    core_bench_ack(bench, 3, 1);
    core_bench_ack(bench, 2, 1);
    for (uint32_t index = 2; index < 20; index++) {
        assert_int_equal(core_bench_propose(bench, "a", 1), ERR_OK);
        core_bench_persist_all(bench);
        core_bench_ack(bench, 3, index);
        core_bench_ack(bench, 2, index);
        core_bench_tick(bench, 1);
        assert_null(core_bench_sent(bench, RAFT_HEARTBEAT, 2, 0));
        assert_null(core_bench_sent(bench, RAFT_HEARTBEAT, 3, 0));
    }
    core_bench_free(bench);
}

/* Each commit has passed before the next entry is appended: every one could have its own message.
 */
static void test_many_small_commits_cost_few_messages_more(void **state)
{
    (void)state;
    struct core_bench *bench = leader_of(&three);
    uint32_t beats = 0;
    for (uint32_t index = 2; index < 42; index++) {
        assert_int_equal(core_bench_propose(bench, "a", 1), ERR_OK);
        core_bench_persist_all(bench);
        core_bench_ack(bench, 3, index);
        core_bench_ack(bench, 2, index);
        for (uint32_t ms = 0; ms < 5; ms++) {
            core_bench_tick(bench, 1);
            beats += core_bench_sent(bench, RAFT_HEARTBEAT, 2, 0) != NULL ? 1 : 0;
        }
    }
    assert_in_range(beats, 200 / 50, 200 / 50 + 200 / 20 + 1);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_commit_is_told_at_once_also_to_who_has_not_acknowledged_it),
        cmocka_unit_test(test_a_commit_that_an_append_tells_costs_no_message),
        cmocka_unit_test(test_many_small_commits_cost_few_messages_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
