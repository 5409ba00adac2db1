/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: unlawful changes are refused with their reason, and lawful ones pass through configurations
 * whose majorities meet those before and after. Method: cases, and all pairs of small voting sets.
 */
#include "raft/joint.h"

#include "raft/membership.h"
#include "raft/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define EIGHT                                          \
    {                                                  \
        true, true, true, true, true, true, true, true \
    }
static const struct joint_known all_ready = {.ready = EIGHT, .heard = EIGHT};
static const struct joint_known none_ready = {.heard = EIGHT};

/* Servers 1..n in regions 1, 2, 3, 1 …; bit i - 1 of `voters` says whether server i votes. */
static struct raft_configuration with(uint32_t servers, uint32_t voters)
{
    struct raft_configuration configuration = {0};
    for (uint32_t i = 0; i < 8; i++) {
        if ((servers >> i & 1U) != 0) {
            configuration.servers[configuration.count++] = (struct raft_server){
                .id = {.lo = i + 1}, .voter = (voters >> i & 1U) != 0, .region = i % 3 + 1};
        }
    }
    return configuration;
}

static enum raft_change_refusal
ask(struct raft_configuration now, struct raft_configuration target, struct joint_known known)
{
    struct member_id refused;
    return joint_check(&now, &target, &known, &refused);
}

static void test_a_new_voter_must_be_a_learner_that_has_caught_up(void **state)
{
    (void)state;
    struct raft_configuration three = with(7, 7);
    assert_int_equal(ask(three, with(15, 15), all_ready), RAFT_CHANGE_NOT_CAUGHT_UP);
    struct raft_configuration learning = with(15, 7);
    assert_int_equal(ask(learning, with(15, 15), none_ready), RAFT_CHANGE_NOT_CAUGHT_UP);
    assert_int_equal(ask(learning, with(15, 15), all_ready), RAFT_CHANGE_OK);
    /* In one step for a member that is replaced. */
    assert_int_equal(ask(learning, with(14, 14), all_ready), RAFT_CHANGE_OK);
    struct member_id refused;
    struct raft_configuration target = with(15, 15);
    (void)joint_check(&three, &target, &all_ready, &refused);
    assert_int_equal(refused.lo, 4);
}

static void test_a_learner_may_come_at_once_and_voters_may_go_at_once(void **state)
{
    (void)state;
    assert_int_equal(ask(with(7, 7), with(15, 7), none_ready), RAFT_CHANGE_OK);
    assert_int_equal(ask(with(7, 7), with(3, 3), none_ready), RAFT_CHANGE_OK);
    assert_int_equal(ask(with(7, 7), with(7, 3), none_ready), RAFT_CHANGE_OK);
}

static void test_a_change_needs_a_voter_and_must_change_something(void **state)
{
    (void)state;
    assert_int_equal(ask(with(7, 7), with(7, 0), none_ready), RAFT_CHANGE_NO_VOTER);
    assert_int_equal(ask(with(7, 7), with(0, 0), none_ready), RAFT_CHANGE_NO_VOTER);
    assert_int_equal(ask(with(7, 7), with(7, 7), none_ready), RAFT_CHANGE_NOTHING);
}

static void test_flags_of_the_core_are_not_taken_from_callers(void **state)
{
    (void)state;
    struct raft_configuration target = with(7, 3);
    target.servers[2].voter_old = true;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_INVALID);
    target = with(7, 7);
    target.servers[0].promote = true;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_INVALID);
    target = with(7, 7);
    target.servers[0].id.lo = 3;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_INVALID);
}

static void test_old_and_new_servers_together_are_bounded(void **state)
{
    (void)state;
    struct raft_configuration now = {.count = RAFT_SERVERS_MAX};
    struct raft_configuration target = {.count = 2};
    for (uint32_t i = 0; i < RAFT_SERVERS_MAX; i++) {
        now.servers[i] = (struct raft_server){.id = {.lo = i + 1}, .voter = i < 3};
    }
    target.servers[0] = now.servers[0];
    target.servers[1] = (struct raft_server){.id = {.lo = 99}};
    assert_int_equal(ask(now, target, all_ready), RAFT_CHANGE_TOO_MANY);
}

static void test_a_server_keeps_its_region(void **state)
{
    (void)state;
    struct raft_configuration target = with(7, 7);
    target.servers[1].region = 9;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_REGION_MOVED);
    struct raft_configuration now = with(7, 7);
    now.servers[1].region = 0;
    assert_int_equal(ask(now, target, none_ready), RAFT_CHANGE_OK);
}

static void test_a_rule_of_regions_needs_them_known_and_enough_of_them(void **state)
{
    (void)state;
    struct raft_configuration target = with(7, 7);
    target.rules.commit_regions_min = 4;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_TOO_FEW_REGIONS);
    target.rules.commit_regions_min = 3;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_OK);
    struct raft_configuration now = with(7, 7);
    now.servers[2].region = 0;
    target = now;
    target.rules.commit_regions_min = 2;
    assert_int_equal(ask(now, target, none_ready), RAFT_CHANGE_REGION_UNKNOWN);
}

static void test_timers_that_would_elect_for_ever_are_refused(void **state)
{
    (void)state;
    static const uint32_t bad[][2] = {{100, 200}, {0, 500}, {50, 0}, {1, 500}, {100, 700000}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct raft_configuration target = with(7, 7);
        target.rules.heartbeat_ms = bad[i][0];
        target.rules.election_ms = bad[i][1];
        assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_BAD_TIMERS);
    }
    struct raft_configuration target = with(7, 7);
    target.rules.heartbeat_ms = 100;
    target.rules.election_ms = 1000;
    assert_int_equal(ask(with(7, 7), target, none_ready), RAFT_CHANGE_OK);
}

static void test_learners_and_rules_change_without_a_joint_configuration(void **state)
{
    (void)state;
    struct raft_configuration now = with(7, 7);
    struct raft_configuration target = with(31, 7);
    struct raft_configuration first;
    joint_begin(&now, &target, &first);
    assert_false(membership_is_joint(&first));
    assert_int_equal(first.count, 5);
}

static bool has_quorum(const struct raft_configuration *configuration, uint32_t set)
{
    bool yes[RAFT_SERVERS_MAX] = {false};
    for (uint32_t i = 0; i < configuration->count; i++) {
        yes[i] = (set >> (configuration->servers[i].id.lo - 1) & 1U) != 0;
    }
    return quorum_has(configuration, yes);
}

/* No two majorities, one of each, are disjoint. */
static void expect_meeting(const struct raft_configuration *a, const struct raft_configuration *b)
{
    for (uint32_t set = 0; set < 32; set++) {
        for (uint32_t other = 0; other < 32; other++) {
            if ((set & other) == 0) {
                assert_false(has_quorum(a, set) && has_quorum(b, other));
            }
        }
    }
}

static void test_majorities_of_neighbouring_configurations_always_meet(void **state)
{
    (void)state;
    for (uint32_t voters = 1; voters < 32; voters++) {
        for (uint32_t wanted = 1; wanted < 32; wanted++) {
            struct raft_configuration now = with(31, voters);
            struct raft_configuration target = with(wanted | 17, wanted);
            struct raft_configuration first;
            joint_begin(&now, &target, &first);
            expect_meeting(&now, &first);
            if (!membership_is_joint(&first)) {
                assert_int_equal(voters, wanted);
                continue;
            }
            struct raft_configuration left;
            joint_leave(&first, &left);
            expect_meeting(&first, &left);
            /* In the end it is what was asked for, demoted voters included. */
            assert_int_equal(left.count, target.count);
            for (uint32_t i = 0; i < left.count; i++) {
                assert_int_equal(left.servers[i].id.lo, target.servers[i].id.lo);
                assert_int_equal(left.servers[i].voter, target.servers[i].voter);
                assert_false(left.servers[i].voter_old || left.servers[i].demoted);
            }
        }
    }
}

static struct joint_known heard_of(uint32_t set)
{
    struct joint_known known = all_ready;
    for (uint32_t i = 0; i < 8; i++) {
        known.heard[i] = (set >> i & 1U) != 0;
    }
    return known;
}

static void test_who_answers_goes_and_who_is_dead_stays_is_no_change(void **state)
{
    (void)state;
    /* Five voters, 4 and 5 are dead: 3 may not go, nor be demoted, the dead may. */
    assert_int_equal(ask(with(31, 31), with(27, 27), heard_of(7)), RAFT_CHANGE_UNHEARD);
    assert_int_equal(ask(with(31, 31), with(31, 27), heard_of(7)), RAFT_CHANGE_UNHEARD);
    assert_int_equal(ask(with(31, 31), with(15, 15), heard_of(7)), RAFT_CHANGE_OK);
    assert_int_equal(ask(with(31, 31), with(31, 15), heard_of(7)), RAFT_CHANGE_OK);
    assert_int_equal(ask(with(31, 31), with(3, 3), heard_of(7)), RAFT_CHANGE_OK);
    /* Three, one of which is dead. */
    assert_int_equal(ask(with(7, 7), with(5, 5), heard_of(3)), RAFT_CHANGE_UNHEARD);
    assert_int_equal(ask(with(7, 7), with(3, 3), heard_of(3)), RAFT_CHANGE_OK);
    struct member_id refused;
    struct raft_configuration three = with(7, 7);
    struct raft_configuration target = with(5, 5);
    struct joint_known known = heard_of(3);
    assert_int_equal(joint_check(&three, &target, &known, &refused), RAFT_CHANGE_UNHEARD);
    assert_int_equal(refused.lo, 3);
}

static void test_a_rule_of_regions_is_not_taken_while_they_do_not_answer(void **state)
{
    (void)state;
    struct raft_configuration target = with(7, 7);
    target.rules.commit_regions_min = 3;
    assert_int_equal(ask(with(7, 7), target, heard_of(3)), RAFT_CHANGE_UNHEARD);
    target.rules.commit_regions_min = 2;
    assert_int_equal(ask(with(7, 7), target, heard_of(3)), RAFT_CHANGE_OK);
}

static void test_what_is_taken_can_be_committed_to_its_end_by_those_that_answer(void **state)
{
    (void)state;
    for (uint32_t voters = 1; voters < 32; voters++) {
        for (uint32_t wanted = 1; wanted < 32; wanted++) {
            for (uint32_t heard = 0; heard < 32; heard++) {
                struct raft_configuration now = with(31, voters);
                struct raft_configuration target = with(31, wanted);
                enum raft_change_refusal refusal = ask(now, target, heard_of(heard));
                bool lives = has_quorum(&now, heard) && has_quorum(&target, heard);
                if (voters != wanted) {
                    assert_int_equal(refusal, lives ? RAFT_CHANGE_OK : RAFT_CHANGE_UNHEARD);
                }
            }
        }
    }
}

static void test_every_refusal_has_a_text(void **state)
{
    (void)state;
    for (int refusal = RAFT_CHANGE_OK; refusal <= RAFT_CHANGE_UNHEARD; refusal++) {
        assert_true(raft_change_refusal_text((enum raft_change_refusal)refusal)[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_voter_must_be_a_learner_that_has_caught_up),
        cmocka_unit_test(test_a_learner_may_come_at_once_and_voters_may_go_at_once),
        cmocka_unit_test(test_a_change_needs_a_voter_and_must_change_something),
        cmocka_unit_test(test_flags_of_the_core_are_not_taken_from_callers),
        cmocka_unit_test(test_old_and_new_servers_together_are_bounded),
        cmocka_unit_test(test_a_server_keeps_its_region),
        cmocka_unit_test(test_a_rule_of_regions_needs_them_known_and_enough_of_them),
        cmocka_unit_test(test_timers_that_would_elect_for_ever_are_refused),
        cmocka_unit_test(test_learners_and_rules_change_without_a_joint_configuration),
        cmocka_unit_test(test_majorities_of_neighbouring_configurations_always_meet),
        cmocka_unit_test(test_who_answers_goes_and_who_is_dead_stays_is_no_change),
        cmocka_unit_test(test_a_rule_of_regions_is_not_taken_while_they_do_not_answer),
        cmocka_unit_test(test_what_is_taken_can_be_committed_to_its_end_by_those_that_answer),
        cmocka_unit_test(test_every_refusal_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
