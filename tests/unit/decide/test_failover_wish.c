/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator asks for is begun, or nothing is: not for one who cannot take over, and on a
 * frozen shard as on any other. */
#include "planner_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void say_standby(uint32_t instance, enum instance_state state, struct position position)
{
    say(instance, (struct report){.state = state, .position = position}, NOW_MS);
}

static void close_session(uint32_t instance)
{
    observe_session_closed(&heard, (struct instance_id){instance}, instance, NOW_MS);
}

static enum command_kind ask_for(bool requested, uint32_t wanted)
{
    struct plan_input input = {.view = &view,
                               .observations = &heard,
                               .now_ms = NOW_MS + 2,
                               .requested = requested,
                               .wanted.value = wanted};

    failover_plan(&input, &plan);
    return plan.has_command ? plan.command.kind : COMMAND_NONE;
}

static void test_who_asks_is_obeyed_on_a_frozen_shard_whose_database_is_dead(void **state)
{
    (void)state;
    say_fenced(1000);
    view.shard.frozen = true;
    assert_int_equal(ask_for(false, 0), COMMAND_NONE);
    assert_int_equal(ask_for(true, 0), COMMAND_FAILOVER_BEGIN);
    assert_int_equal(plan.command.failover.cause, CAUSE_OPERATOR);
    assert_false(plan.command.failover.in_place);
}

static void test_where_nobody_else_is_there_the_primary_starts_again_for_who_asks(void **state)
{
    (void)state;
    say_fenced(1000);
    view.shard.frozen = true;
    close_session(2);
    close_session(3);
    assert_int_equal(ask_for(true, 0), COMMAND_FAILOVER_BEGIN);
    assert_int_equal(plan.command.failover.cause, CAUSE_OPERATOR);
    assert_true(plan.command.failover.in_place);
    assert_int_equal(ask_for(true, 2), COMMAND_NONE);
}

static void test_nothing_is_begun_for_one_who_does_not_run(void **state)
{
    (void)state;
    assert_int_equal(ask_for(true, 3), COMMAND_FAILOVER_BEGIN);
    say_standby(3, INSTANCE_HUNG, (struct position){5, 500});
    assert_int_equal(ask_for(true, 3), COMMAND_NONE);
    assert_non_null(strstr(plan.waiting, "no running standby"));
    assert_int_equal(ask_for(true, 2), COMMAND_FAILOVER_BEGIN);
}

static void test_nothing_is_begun_for_one_who_left_the_history(void **state)
{
    (void)state;
    say_standby(3, INSTANCE_STANDBY, (struct position){4, 900});
    assert_int_equal(ask_for(true, 3), COMMAND_NONE);
    assert_non_null(strstr(plan.waiting, "history"));
}

static void test_nothing_is_begun_for_one_who_is_not_heard(void **state)
{
    (void)state;
    close_session(3);
    assert_int_equal(ask_for(true, 3), COMMAND_NONE);
    assert_non_null(strstr(plan.waiting, "not heard any more"));
}

/* A planned move is under way, and its primary stops in order. */
static void drain(void)
{
    view.failover.cause = CAUSE_OPERATOR;
    enter(FAILOVER_EXCLUDE);
}

static void test_a_planned_move_is_excluded_by_the_fence_of_what_stopped_in_order(void **state)
{
    (void)state;
    drain();
    assert_int_equal(ask_for(false, 2), COMMAND_NONE);
    assert_non_null(strstr(plan.waiting, "stops once its standbys have everything"));
    say_fenced(1000);
    assert_int_equal(ask_for(false, 2), COMMAND_FAILOVER_EXCLUDED);
    assert_int_equal(plan.command.failover.proof, PROOF_FENCE);
}

static void test_a_planned_move_whose_primary_dies_goes_on_like_any_failover(void **state)
{
    (void)state;
    drain();
    close_session(1);
    say(2,
        (struct report){.state = INSTANCE_STANDBY,
                        .position = {.timeline = 5, .lsn = 500},
                        .primary_reach = REACH_REFUSED,
                        .primary_reach_of.value = 1},
        NOW_MS);
    assert_int_equal(ask_for(false, 2), COMMAND_FAILOVER_BEGIN);
    assert_int_equal(plan.command.failover.cause, CAUSE_STUCK);
    assert_false(plan.command.failover.in_place);
}

static void test_a_primary_that_is_dead_is_failed_over_and_not_drained(void **state)
{
    (void)state;
    say_fenced(1000);
    assert_int_equal(ask_for(true, 2), COMMAND_FAILOVER_BEGIN);
    assert_int_equal(plan.command.failover.cause, CAUSE_PROCESS);
    assert_false(plan.command.failover.in_place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who_asks_is_obeyed_on_a_frozen_shard_whose_database_is_dead,
                               set_up),
        cmocka_unit_test_setup(
            test_where_nobody_else_is_there_the_primary_starts_again_for_who_asks, set_up),
        cmocka_unit_test_setup(test_nothing_is_begun_for_one_who_does_not_run, set_up),
        cmocka_unit_test_setup(test_nothing_is_begun_for_one_who_left_the_history, set_up),
        cmocka_unit_test_setup(test_nothing_is_begun_for_one_who_is_not_heard, set_up),
        cmocka_unit_test_setup(
            test_a_planned_move_is_excluded_by_the_fence_of_what_stopped_in_order, set_up),
        cmocka_unit_test_setup(test_a_planned_move_whose_primary_dies_goes_on_like_any_failover,
                               set_up),
        cmocka_unit_test_setup(test_a_primary_that_is_dead_is_failed_over_and_not_drained, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
