/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of states. Goal: a member whose state differs is found once, nothing is said where
 * nothing can be compared, and a leader in the minority knows. Method: hashes by hand. */
#include "node/divergence.h"

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

static struct raft_configuration voters(uint32_t count)
{
    struct raft_configuration configuration = {.count = count};
    for (uint32_t i = 0; i < count; i++) {
        configuration.servers[i] = (struct raft_server){.id = {.lo = i + 1}, .voter = true};
    }
    return configuration;
}

static void settle(const struct raft_configuration *configuration)
{
    divergence_settle(&states, configuration, (struct member_id){.lo = 1});
}

static uint64_t told(uint64_t id)
{
    struct raft_heartbeat heartbeat = {.agreed_index = 77};
    divergence_tell(&states, (struct member_id){.lo = id}, &heartbeat);
    assert_true(heartbeat.agreed_index == 0 ||
                heartbeat.agreed_hash == 100 + heartbeat.agreed_index);
    return heartbeat.agreed_index;
}

static void test_a_peer_is_told_the_state_of_a_majority_at_its_own_index(void **state)
{
    (void)state;
    const struct raft_configuration three = voters(3);
    assert_true(look(2, 7, 1));
    settle(&three);
    assert_int_equal(told(2), 0); /* one against one */
    assert_false(look(3, 5, 105));
    settle(&three);
    assert_int_equal(told(2), 5); /* what two of three hold is known up to there */
    assert_false(look(3, 9, 109));
    settle(&three);
    assert_int_equal(told(2), 7);
    assert_int_equal(told(3), 9);
    assert_int_equal(told(4), 0);
}

static void test_a_majority_counts_voters_of_a_settled_configuration_only(void **state)
{
    (void)state;
    struct raft_configuration five = voters(5);
    assert_false(look(2, 9, 109));
    assert_true(look(3, 9, 1));
    five.servers[3].voter = false;
    five.servers[4].voter = false;
    settle(&five);
    assert_int_equal(told(3), 9);
    five.servers[3].voter_old = true;
    settle(&five);
    assert_int_equal(told(3), 0);
    five = voters(5);
    settle(&five);
    assert_int_equal(told(3), 0); /* two of five */
    five.servers[0].voter = false;
    five.count = 3;
    settle(&five);
    assert_int_equal(told(3), 0); /* we have no say */
}

static void test_who_differs_now_is_no_witness_for_what_it_said_before(void **state)
{
    (void)state;
    const struct raft_configuration three = voters(3);
    assert_false(look(2, 9, 109));
    assert_true(look(2, 8, 1));
    settle(&three);
    assert_int_equal(told(2), 0);
}

static void test_a_state_is_disputed_until_a_majority_holds_it_where_they_differ(void **state)
{
    (void)state;
    const struct raft_configuration three = voters(3);
    assert_false(look(3, 5, 105));
    settle(&three);
    assert_false(divergence_is_disputed(&states));
    assert_true(look(2, 8, 1));
    settle(&three);
    assert_true(divergence_is_disputed(&states));
    assert_true(divergence_is_against(&states, (struct member_id){.lo = 2}));
    assert_false(look(3, 8, 108));
    settle(&three);
    assert_false(divergence_is_disputed(&states));
    assert_false(look(2, 9, 1)); /* it goes on differing, which settles nothing anew */
    settle(&three);
    assert_false(divergence_is_disputed(&states));
}

static void test_who_has_left_is_no_witness(void **state)
{
    (void)state;
    assert_true(look(2, 10, 1));
    assert_true(look(3, 10, 1));
    assert_false(look(4, 10, 110));
    assert_int_equal(divergence_count(&states), 2);
    const struct raft_peer_status stay[] = {{.id = {.lo = 1}}, {.id = {.lo = 3}}};
    divergence_keep(&states, stay, 2);
    assert_int_equal(divergence_count(&states), 1);
    assert_false(divergence_is_against(&states, (struct member_id){.lo = 2}));
    assert_true(divergence_is_against(&states, (struct member_id){.lo = 3}));
    assert_false(divergence_is_ours(&states));
    assert_true(look(2, 10, 1)); /* it is new */
}

static void
test_a_wrong_leader_may_hand_over_to_those_that_differ_and_a_right_one_to_the_rest(void **state)
{
    (void)state;
    assert_false(look(2, 10, 110)); /* as we are */
    assert_true(look(3, 10, 1));
    assert_true(divergence_may_lead(&states, (struct member_id){.lo = 2}));
    assert_false(divergence_may_lead(&states, (struct member_id){.lo = 3}));
    assert_true(divergence_may_lead(&states, (struct member_id){.lo = 5})); /* nothing is known */
    assert_true(look(4, 10, 1));
    assert_true(look(6, 10, 1));
    assert_true(divergence_is_ours(&states));
    assert_false(divergence_may_lead(&states, (struct member_id){.lo = 2}));
    assert_true(divergence_may_lead(&states, (struct member_id){.lo = 3}));
    assert_false(divergence_may_lead(&states, (struct member_id){.lo = 5}));
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
        cmocka_unit_test_setup(test_a_peer_is_told_the_state_of_a_majority_at_its_own_index, setup),
        cmocka_unit_test_setup(test_a_majority_counts_voters_of_a_settled_configuration_only,
                               setup),
        cmocka_unit_test_setup(test_who_differs_now_is_no_witness_for_what_it_said_before, setup),
        cmocka_unit_test_setup(test_who_has_left_is_no_witness, setup),
        cmocka_unit_test_setup(
            test_a_wrong_leader_may_hand_over_to_those_that_differ_and_a_right_one_to_the_rest,
            setup),
        cmocka_unit_test_setup(test_a_state_is_disputed_until_a_majority_holds_it_where_they_differ,
                               setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
