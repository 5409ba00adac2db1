/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a wish after which those that answer could decide nothing is told as such, with who is not
 * heard, and no other wish is. Method: records of up to five members, some of which are heard. */
#include "node/membership_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct fixture {
    struct member was[MEMBERS_MAX];
    struct member wanted[MEMBERS_MAX];
    struct region regions[3];
    struct membership_wish before;
    struct membership_wish after;
    struct raft_status status;
    struct membership_forecast forecast;
} f;

/* Voters 1..5, led by 1, one after the other in regions r1, r2, r3; all are heard. */
static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    f.before = (struct membership_wish){.members = f.was,
                                        .members_count = 5,
                                        .regions = f.regions,
                                        .regions_count = 3,
                                        .leader_region = ""};
    f.status.role = RAFT_LEADER;
    f.status.leader = (struct member_id){.lo = 1};
    for (uint32_t i = 0; i < 3; i++) {
        f.regions[i].id = (struct region_id){i + 1};
        (void)snprintf(f.regions[i].name, NAME_SIZE, "r%u", i + 1);
    }
    for (uint32_t i = 0; i < 5; i++) {
        struct member *member = &f.was[i];
        *member = (struct member){.id = {.lo = i + 1}, .standing = MEMBER_VOTER};
        (void)snprintf(member->name, NAME_SIZE, "n%u", i + 1);
        (void)snprintf(member->region, NAME_SIZE, "r%u", i % 3 + 1);
        f.status.configuration.servers[i] =
            (struct raft_server){.id = member->id, .voter = true, .region = i % 3 + 1};
        if (i > 0) {
            f.status.peers[i - 1] =
                (struct raft_peer_status){.id = member->id, .voter = true, .heard = true};
        }
    }
    f.status.configuration.count = 5;
    f.status.peers_count = 4;
    memcpy(f.wanted, f.was, sizeof(f.was));
    f.after = f.before;
    f.after.members = f.wanted;
    return 0;
}

static void is_silent(uint32_t number)
{
    f.status.peers[number - 2].heard = false;
}

static enum membership_verdict check(void)
{
    membership_check(&f.before, &f.after, &f.status, &f.forecast);
    return f.forecast.verdict;
}

static void test_with_two_of_five_down_a_healthy_one_stays_and_the_dead_may_go(void **state)
{
    (void)state;
    is_silent(4);
    is_silent(5);
    f.wanted[1].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_STOPS);
    assert_non_null(strstr(f.forecast.why, "2 of 4 voters would answer"));
    assert_non_null(strstr(f.forecast.why, "n4, n5"));
    f.wanted[1].standing = MEMBER_LEARNER;
    assert_int_equal(check(), MEMBERSHIP_STOPS);
    f.wanted[1].standing = MEMBER_VOTER;
    f.wanted[0].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_STOPS);
    f.wanted[0].standing = MEMBER_VOTER;
    f.wanted[4].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_FITS);
}

static void test_while_all_answer_anybody_may_go(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        f.wanted[i].standing = MEMBER_LEAVING;
        assert_int_equal(check(), MEMBERSHIP_FITS);
        f.wanted[i].standing = MEMBER_VOTER;
    }
}

static void test_wishes_that_are_under_way_count_with_the_new_one(void **state)
{
    (void)state;
    is_silent(5);
    f.was[1].standing = MEMBER_LEAVING;
    f.wanted[1].standing = MEMBER_LEAVING;
    f.wanted[2].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_FITS); /* 1, 4 of 1, 4, 5 */
    is_silent(4);
    assert_int_equal(check(), MEMBERSHIP_STOPS);
}

static void test_what_asks_for_no_other_votes_is_not_held_up_by_the_silent(void **state)
{
    (void)state;
    is_silent(3);
    is_silent(4);
    is_silent(5);
    assert_int_equal(check(), MEMBERSHIP_FITS); /* a move, or the same again */
    f.wanted[5] = (struct member){.id = {.lo = 6}, .standing = MEMBER_VOTER, .region = "r1"};
    f.after.members_count = 6;
    assert_int_equal(check(), MEMBERSHIP_FITS); /* it comes as a learner */
}

static void test_who_answers_and_makes_nothing_durable_is_not_counted_on(void **state)
{
    (void)state;
    is_silent(5);
    f.status.peers[2].stalled = true; /* n4 */
    f.wanted[1].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_UNSURE);
    assert_non_null(strstr(f.forecast.why, "n4, n5"));
    assert_non_null(strstr(f.forecast.why, "make nothing durable"));
    f.wanted[1].standing = MEMBER_VOTER;
    f.wanted[3].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_FITS);
    f.was[3].standing = MEMBER_LEARNER;
    f.wanted[3].standing = MEMBER_VOTER;
    assert_int_equal(check(), MEMBERSHIP_UNSURE);
    assert_non_null(strstr(f.forecast.why, "learner 'n4' makes nothing durable"));
}

static void test_a_new_leader_asks_for_a_moment_before_it_calls_anybody_silent(void **state)
{
    (void)state;
    is_silent(4);
    is_silent(5);
    f.status.peers[2].unknown = true;
    f.wanted[1].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_UNSURE);
    assert_non_null(strstr(f.forecast.why, "try again"));
}

static void test_copies_in_more_regions_than_answer_are_refused(void **state)
{
    (void)state;
    is_silent(3);
    f.after.rules.commit_regions_min = 2;
    assert_int_equal(check(), MEMBERSHIP_FITS);
    f.after.rules.commit_regions_min = 3;
    assert_int_equal(check(), MEMBERSHIP_STOPS);
    assert_non_null(strstr(f.forecast.why, "2 regions"));
    assert_non_null(strstr(f.forecast.why, "n3"));
}

static void test_a_learner_that_does_not_answer_is_not_promoted(void **state)
{
    (void)state;
    f.was[4].standing = MEMBER_LEARNER;
    f.status.configuration.servers[4].voter = false;
    assert_int_equal(check(), MEMBERSHIP_FITS);
    is_silent(5);
    assert_int_equal(check(), MEMBERSHIP_STOPS);
    assert_non_null(strstr(f.forecast.why, "'n5'"));
}

static void test_a_region_that_alone_would_take_the_majority_is_warned_of_once(void **state)
{
    (void)state;
    assert_null(membership_region_at_risk(f.was, 5));
    f.wanted[2].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_FITS);
    assert_non_null(strstr(f.forecast.warning, "2 of then 4 voters are in region r1"));
    /* It was so before: nothing new. */
    f.was[2].standing = MEMBER_LEAVING;
    f.wanted[3].standing = MEMBER_LEAVING;
    assert_int_equal(check(), MEMBERSHIP_FITS);
    assert_string_equal(f.forecast.warning, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_with_two_of_five_down_a_healthy_one_stays_and_the_dead_may_go,
                               setup),
        cmocka_unit_test_setup(test_while_all_answer_anybody_may_go, setup),
        cmocka_unit_test_setup(test_wishes_that_are_under_way_count_with_the_new_one, setup),
        cmocka_unit_test_setup(test_what_asks_for_no_other_votes_is_not_held_up_by_the_silent,
                               setup),
        cmocka_unit_test_setup(test_who_answers_and_makes_nothing_durable_is_not_counted_on, setup),
        cmocka_unit_test_setup(test_a_new_leader_asks_for_a_moment_before_it_calls_anybody_silent,
                               setup),
        cmocka_unit_test_setup(test_copies_in_more_regions_than_answer_are_refused, setup),
        cmocka_unit_test_setup(test_a_learner_that_does_not_answer_is_not_promoted, setup),
        cmocka_unit_test_setup(test_a_region_that_alone_would_take_the_majority_is_warned_of_once,
                               setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
