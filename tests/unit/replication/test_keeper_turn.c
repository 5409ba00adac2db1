/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: nothing is done before the promise it needs is durable, nothing after that which would not
 * be chosen any more, and a fence waits for no disk. */
#include "replication/keeper_turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A standby that is to become primary of epoch 5, its lease running: the next action is PROMOTE,
 * for which "writable under 5" has to be durable. */
static const struct goal PRIMARY = {
    .role = GOAL_PRIMARY,
    .epoch.value = 5,
    .index = 9,
    .may_promote = true,
    .timeline = 3,
};
static const struct keeper_facts READY = {
    .state = INSTANCE_STANDBY,
    .fresh_incarnation = 77,
    .position_final = true,
    .position = {.timeline = 2, .lsn = 100},
    .lease_epoch.value = 5,
};

static struct keeper_turn turn_that_obeyed(const struct goal *goal)
{
    return (struct keeper_turn){.state = {.epoch = goal->epoch,
                                          .goal_index = goal->index,
                                          .goal_role = goal->role,
                                          .incarnation.value = 1}};
}

static void test_a_goal_is_obeyed_only_once_it_is_durable(void **state)
{
    struct keeper_turn turn = {.state.incarnation.value = 1};
    struct keeper_action action;
    (void)state;

    keeper_turn_next(&turn, &READY, &PRIMARY, &action);
    assert_int_equal(action.kind, KEEPER_WAIT);
    assert_true(turn.saving);
    assert_int_equal(turn.action.state_next.epoch.value, 5);
    assert_int_equal(turn.state.epoch.value, 0);
    keeper_turn_next(&turn, &READY, &PRIMARY, &action);
    assert_int_equal(action.kind, KEEPER_WAIT);

    keeper_turn_saved(&turn, &READY, &PRIMARY, true, &action);
    assert_int_equal(action.kind, KEEPER_PERSIST);
    assert_int_equal(turn.state.epoch.value, 5);
    assert_false(turn.saving);
}

static void test_a_promotion_waits_for_its_promise_and_then_happens(void **state)
{
    struct keeper_turn turn = turn_that_obeyed(&PRIMARY);
    struct keeper_action action;
    (void)state;

    keeper_turn_next(&turn, &READY, &PRIMARY, &action);
    assert_int_equal(action.kind, KEEPER_WAIT);
    assert_int_equal(turn.action.kind, KEEPER_PROMOTE);
    assert_int_equal(turn.state.writable_epoch.value, 0);

    keeper_turn_saved(&turn, &READY, &PRIMARY, true, &action);
    assert_int_equal(action.kind, KEEPER_PROMOTE);
    assert_int_equal(turn.state.writable_epoch.value, 5);
}

static void test_a_promise_that_was_not_written_allows_nothing(void **state)
{
    struct keeper_turn turn = turn_that_obeyed(&PRIMARY);
    struct keeper_action action;
    (void)state;
    keeper_turn_next(&turn, &READY, &PRIMARY, &action);

    keeper_turn_saved(&turn, &READY, &PRIMARY, false, &action);

    assert_int_equal(action.kind, KEEPER_WAIT);
    assert_int_equal(turn.state.writable_epoch.value, 0);
    keeper_turn_next(&turn, &READY, &PRIMARY, &action);
    assert_true(turn.saving); /* it is tried again */
}

static void test_a_lease_that_ended_meanwhile_ends_the_promotion(void **state)
{
    struct keeper_turn turn = turn_that_obeyed(&PRIMARY);
    struct keeper_facts late = READY;
    struct keeper_action action;
    (void)state;
    keeper_turn_next(&turn, &READY, &PRIMARY, &action);
    late.lease_epoch.value = 0;

    keeper_turn_saved(&turn, &late, &PRIMARY, true, &action);

    assert_int_equal(action.kind, KEEPER_PERSIST);
    assert_int_equal(turn.state.writable_epoch.value, 5); /* it is durable, and so it is over */
    keeper_turn_next(&turn, &late, &PRIMARY, &action);
    assert_int_equal(action.kind, KEEPER_FENCE);
}

static void test_a_later_goal_that_came_meanwhile_is_obeyed_instead(void **state)
{
    struct keeper_turn turn = turn_that_obeyed(&PRIMARY);
    const struct goal later = {
        .role = GOAL_CUT, .epoch.value = 6, .index = 12, .upstream.value = 2};
    struct keeper_action action;
    (void)state;
    keeper_turn_next(&turn, &READY, &PRIMARY, &action);

    keeper_turn_saved(&turn, &READY, &later, true, &action);
    assert_int_equal(action.kind, KEEPER_PERSIST);

    keeper_turn_next(&turn, &READY, &later, &action);
    assert_int_equal(action.kind, KEEPER_WAIT);
    assert_int_equal(turn.action.state_next.epoch.value, 6);
}

static void test_a_fence_waits_for_no_disk(void **state)
{
    struct keeper_turn turn = turn_that_obeyed(&PRIMARY);
    struct keeper_facts facts = {.state = INSTANCE_PRIMARY, .fresh_incarnation = 77};
    struct keeper_action action;
    (void)state;
    turn.state.writable_epoch.value = 5;
    facts.fork = (struct fork){.timeline = 3};
    keeper_turn_next(&turn, &facts, &PRIMARY, &action); /* "promoted and verified" */
    assert_true(turn.saving);
    facts.state = INSTANCE_HUNG;
    facts.hung_ms = KEEPER_HUNG_PRIMARY_MS;

    keeper_turn_next(&turn, &facts, &PRIMARY, &action);

    assert_int_equal(action.kind, KEEPER_FENCE);
    assert_false(action.persist);
}

static void test_one_who_was_recovered_is_heard_once_that_is_durable(void **state)
{
    struct keeper_turn turn = {.state = {.cluster_epoch = 2, .goal_index = 40}};
    struct keeper_action action;
    (void)state;

    assert_int_equal(keeper_turn_hear(&turn, 1), KEEPER_LEFT_BEHIND);
    assert_int_equal(keeper_turn_hear(&turn, 2), KEEPER_HEARS);
    assert_int_equal(keeper_turn_hear(&turn, 3), KEEPER_HEARS_LATER);
    assert_true(turn.saving);
    assert_int_equal(turn.state.cluster_epoch, 2);
    assert_int_equal(keeper_turn_hear(&turn, 3), KEEPER_HEARS_LATER);

    keeper_turn_saved(&turn, &READY, NULL, true, &action);

    assert_int_equal(keeper_turn_hear(&turn, 3), KEEPER_HEARS);
    assert_int_equal(keeper_turn_hear(&turn, 2), KEEPER_LEFT_BEHIND);
    assert_int_equal(turn.state.goal_index, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_goal_is_obeyed_only_once_it_is_durable),
        cmocka_unit_test(test_a_promotion_waits_for_its_promise_and_then_happens),
        cmocka_unit_test(test_a_promise_that_was_not_written_allows_nothing),
        cmocka_unit_test(test_a_lease_that_ended_meanwhile_ends_the_promotion),
        cmocka_unit_test(test_a_later_goal_that_came_meanwhile_is_obeyed_instead),
        cmocka_unit_test(test_a_fence_waits_for_no_disk),
        cmocka_unit_test(test_one_who_was_recovered_is_heard_once_that_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
