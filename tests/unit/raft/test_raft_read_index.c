/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a confirmed read was asked of a leader that still led afterwards, at an index that covers
 * all that was committed. Method: one core, elected on the bench; the test answers its probes. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static void ask(struct core_bench *bench, uint64_t read_id)
{
    core_bench_step(bench, (struct raft_event){.type = RAFT_EVENT_READ, .read_id = read_id});
}

/* A leader whose no-op is committed. */
static struct core_bench *settled_leader(const struct core_bench_options *options)
{
    struct core_bench *bench = core_bench_new(options);
    core_bench_elect(bench);
    for (uint32_t member = 2; member <= options->members; member++) {
        core_bench_ack(bench, member, core_bench_status(bench).last_index);
    }
    return bench;
}

static uint64_t probe_sent(const struct core_bench *bench)
{
    const struct raft_message *message = core_bench_sent(bench, RAFT_HEARTBEAT, 2, 0);
    assert_non_null(message);
    return message->heartbeat.probe;
}

static void assert_read(const struct core_bench *bench, uint32_t at, uint64_t id, uint64_t index)
{
    assert_true(at < bench->update.reads_count);
    assert_true(bench->update.reads[at].confirmed);
    assert_int_equal(bench->update.reads[at].read_id, id);
    assert_int_equal(bench->update.reads[at].index, index);
}

static void test_a_read_is_confirmed_by_a_round_that_began_after_it(void **state)
{
    (void)state;
    struct core_bench *bench = settled_leader(&three);
    core_bench_tick(bench, 50);
    uint64_t before = probe_sent(bench);
    ask(bench, 7);
    uint64_t after = probe_sent(bench);
    assert_true(after > before);
    core_bench_heartbeat_result(bench, 2, before);
    assert_int_equal(bench->update.reads_count, 0);
    core_bench_heartbeat_result(bench, 2, after);
    assert_int_equal(bench->update.reads_count, 1);
    assert_read(bench, 0, 7, 1);
    core_bench_free(bench);
}

static void test_reads_wait_for_the_first_commit_of_the_term(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_elect(bench);
    ask(bench, 7);
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_ack(bench, 2, 1);
    core_bench_heartbeat_result(bench, 2, probe_sent(bench));
    assert_read(bench, 0, 7, 1);
    core_bench_free(bench);
}

static void test_reads_that_arrive_during_a_round_share_the_next_one(void **state)
{
    (void)state;
    struct core_bench *bench = settled_leader(&three);
    ask(bench, 1);
    uint64_t first = probe_sent(bench);
    ask(bench, 2);
    ask(bench, 3);
    assert_int_equal(core_bench_sent_count(bench, RAFT_HEARTBEAT), 0);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 3, 2);
    core_bench_heartbeat_result(bench, 2, first);
    assert_int_equal(bench->update.reads_count, 1);
    assert_read(bench, 0, 1, 1);
    core_bench_heartbeat_result(bench, 2, probe_sent(bench));
    assert_int_equal(bench->update.reads_count, 2);
    assert_read(bench, 0, 2, 2);
    assert_read(bench, 1, 3, 2);
    core_bench_free(bench);
}

static void test_half_of_the_voters_do_not_confirm(void **state)
{
    (void)state;
    struct core_bench_options five = {.members = 5};
    struct core_bench *bench = settled_leader(&five);
    ask(bench, 1);
    uint64_t probe = probe_sent(bench);
    core_bench_heartbeat_result(bench, 2, probe);
    core_bench_heartbeat_result(bench, 2, probe);
    assert_int_equal(bench->update.reads_count, 0);
    core_bench_heartbeat_result(bench, 3, probe);
    assert_read(bench, 0, 1, 1);
    core_bench_free(bench);
}

static void test_a_lost_round_is_repeated_by_the_next_heartbeat(void **state)
{
    (void)state;
    struct core_bench *bench = settled_leader(&three);
    ask(bench, 1);
    uint64_t probe = probe_sent(bench);
    core_bench_tick(bench, 50);
    assert_int_equal(probe_sent(bench), probe);
    core_bench_heartbeat_result(bench, 2, probe);
    assert_read(bench, 0, 1, 1);
    core_bench_free(bench);
}

static void test_an_answer_to_a_probe_never_sent_confirms_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = settled_leader(&three);
    ask(bench, 1);
    core_bench_heartbeat_result(bench, 2, probe_sent(bench) + 100);
    assert_int_equal(bench->update.reads_count, 0);
    core_bench_free(bench);
}

static void test_reads_are_refused_when_leadership_is_lost(void **state)
{
    (void)state;
    struct core_bench *bench = settled_leader(&three);
    ask(bench, 1);
    ask(bench, 2);
    core_bench_receive(bench, core_bench_from(2, RAFT_HEARTBEAT_RESULT, 9));
    assert_int_equal(bench->update.reads_count, 2);
    assert_false(bench->update.reads[0].confirmed);
    assert_false(bench->update.reads[1].confirmed);
    core_bench_free(bench);
}

static void test_a_follower_refuses_reads_at_once(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    ask(bench, 4);
    assert_int_equal(bench->update.reads_count, 1);
    assert_int_equal(bench->update.reads[0].read_id, 4);
    assert_false(bench->update.reads[0].confirmed);
    core_bench_free(bench);
}

static void test_answers_of_an_earlier_office_do_not_confirm(void **state)
{
    (void)state;
    struct core_bench *bench = settled_leader(&three);
    ask(bench, 1);
    uint64_t old_probe = probe_sent(bench);
    core_bench_receive(bench, core_bench_from(2, RAFT_HEARTBEAT_RESULT, 5));
    core_bench_elect(bench);
    core_bench_ack(bench, 2, core_bench_status(bench).last_index);
    ask(bench, 2);
    struct raft_message late = core_bench_from(2, RAFT_HEARTBEAT_RESULT, 1);
    late.heartbeat_result.probe = old_probe;
    core_bench_receive(bench, late);
    assert_int_equal(bench->update.reads_count, 0);
    core_bench_heartbeat_result(bench, 2, old_probe);
    assert_int_equal(bench->update.reads_count, 0);
    core_bench_free(bench);
}

static void test_a_sole_voter_confirms_alone(void **state)
{
    (void)state;
    struct core_bench_options one = {.members = 1};
    struct core_bench *bench = core_bench_new(&one);
    core_bench_elect(bench);
    ask(bench, 1);
    assert_read(bench, 0, 1, 1);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_is_confirmed_by_a_round_that_began_after_it),
        cmocka_unit_test(test_reads_wait_for_the_first_commit_of_the_term),
        cmocka_unit_test(test_reads_that_arrive_during_a_round_share_the_next_one),
        cmocka_unit_test(test_half_of_the_voters_do_not_confirm),
        cmocka_unit_test(test_a_lost_round_is_repeated_by_the_next_heartbeat),
        cmocka_unit_test(test_an_answer_to_a_probe_never_sent_confirms_nothing),
        cmocka_unit_test(test_reads_are_refused_when_leadership_is_lost),
        cmocka_unit_test(test_a_follower_refuses_reads_at_once),
        cmocka_unit_test(test_answers_of_an_earlier_office_do_not_confirm),
        cmocka_unit_test(test_a_sole_voter_confirms_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
