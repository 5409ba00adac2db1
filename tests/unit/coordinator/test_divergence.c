/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of states. Goal: a member whose state differs is found once, nothing is said where
 * nothing can be compared, and a leader in the minority knows. Method: hashes by hand. */
#include "coordinator/divergence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct divergence states;

static int setup(void **state)
{
    (void)state;
    divergence_reset(&states);
    for (uint64_t index = 1; index <= 10; index++) {
        divergence_note(&states, index, 100 + index);
    }
    return 0;
}

static bool look(uint64_t id, uint64_t index, uint64_t hash)
{
    const struct raft_peer_status peer = {
        .id = {.lo = id}, .voter = id < 10, .applied_index = index, .state_hash = hash};
    return divergence_look(&states, &peer);
}

static void test_an_equal_state_at_any_recent_index_agrees(void **state)
{
    (void)state;
    assert_false(look(2, 10, 110));
    assert_false(look(3, 4, 104));
    assert_int_equal(divergence_count(&states), 0);
}

static void test_a_state_that_differs_is_found_once(void **state)
{
    (void)state;
    assert_true(look(2, 9, 1));
    assert_false(look(2, 10, 1));
    assert_int_equal(divergence_count(&states), 1);
    assert_false(divergence_is_ours(&states));
}

static void test_nothing_is_said_of_what_cannot_be_compared(void **state)
{
    (void)state;
    assert_false(look(2, 0, 0));  /* it applied nothing */
    assert_false(look(2, 10, 0)); /* it does not know its hash */
    assert_false(look(2, 11, 1)); /* it is ahead of us */
    divergence_note(&states, 5 + DIVERGENCE_KEPT, 7);
    assert_false(look(2, 5, 1)); /* too long ago */
    assert_int_equal(divergence_count(&states), 0);
}

static void test_a_verdict_stands_while_nothing_can_be_compared(void **state)
{
    (void)state;
    assert_true(look(2, 9, 1));
    assert_false(look(2, 11, 1));
    assert_int_equal(divergence_count(&states), 1);
}

static void test_a_member_that_got_the_right_state_agrees_again(void **state)
{
    (void)state;
    assert_true(look(2, 9, 1));
    assert_false(look(2, 10, 110));
    assert_int_equal(divergence_count(&states), 0);
    assert_true(look(2, 8, 1));
}

static void test_a_leader_that_more_voters_contradict_is_the_wrong_one(void **state)
{
    (void)state;
    assert_true(look(2, 10, 1));
    assert_false(divergence_is_ours(&states));
    assert_true(look(11, 10, 1)); /* a learner has no voice */
    assert_false(divergence_is_ours(&states));
    assert_true(look(3, 10, 1));
    assert_true(divergence_is_ours(&states));
    assert_false(look(4, 10, 110));
    assert_false(divergence_is_ours(&states));
}

static void test_verdicts_end_with_the_office_and_hashes_with_the_state(void **state)
{
    (void)state;
    assert_true(look(2, 10, 1));
    divergence_leave(&states);
    assert_int_equal(divergence_count(&states), 0);
    assert_true(look(2, 10, 1));
    divergence_reset(&states);
    assert_false(look(2, 10, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_equal_state_at_any_recent_index_agrees, setup),
        cmocka_unit_test_setup(test_a_state_that_differs_is_found_once, setup),
        cmocka_unit_test_setup(test_nothing_is_said_of_what_cannot_be_compared, setup),
        cmocka_unit_test_setup(test_a_verdict_stands_while_nothing_can_be_compared, setup),
        cmocka_unit_test_setup(test_a_member_that_got_the_right_state_agrees_again, setup),
        cmocka_unit_test_setup(test_a_leader_that_more_voters_contradict_is_the_wrong_one, setup),
        cmocka_unit_test_setup(test_verdicts_end_with_the_office_and_hashes_with_the_state, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
