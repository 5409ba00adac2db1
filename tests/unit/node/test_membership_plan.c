/* SPDX-License-Identifier: Apache-2.0 */
/* From the cluster's record of its members to the next step of the core. Goal: one change at a
 * time, nothing that nobody asked for, a rule that cannot be met is lowered at once, and leadership
 * moves only to who has been ready for long. Method: records and core states by hand. */
#include "node/membership_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct fixture {
    struct member members[MEMBERS_MAX];
    struct region regions[2];
    struct membership_wish wish;
    struct raft_status status;
    struct membership_order order;
} f;

static struct member *record(uint64_t id, const char *region, enum member_standing standing)
{
    struct member *member = &f.members[f.wish.members_count++];
    *member = (struct member){.id = {.lo = id}, .standing = standing};
    (void)snprintf(member->region, sizeof(member->region), "%s", region);
    return member;
}

static struct raft_server *serve(uint64_t id, uint32_t region, bool voter)
{
    struct raft_server *server = &f.status.configuration.servers[f.status.configuration.count++];
    *server = (struct raft_server){.id = {.lo = id}, .voter = voter, .region = region};
    if (id != 1) {
        f.status.peers[f.status.peers_count++] = (struct raft_peer_status){
            .id = {.lo = id}, .voter = voter, .active = true, .caught_up = true};
    }
    return server;
}

/* Three voters in two regions, led by the first, as their record wants them. */
static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    f.regions[0] = (struct region){.id = {1}, .name = "east"};
    f.regions[1] = (struct region){.id = {2}, .name = "west"};
    f.wish = (struct membership_wish){
        .members = f.members, .regions = f.regions, .regions_count = 2, .leader_region = ""};
    f.status.role = RAFT_LEADER;
    f.status.leader = (struct member_id){.lo = 1};
    f.status.configuration_committed = true;
    record(1, "east", MEMBER_VOTER);
    record(2, "west", MEMBER_VOTER);
    record(3, "west", MEMBER_VOTER);
    serve(1, 1, true);
    serve(2, 2, true);
    serve(3, 2, true);
    return 0;
}

static enum membership_step plan(void)
{
    membership_plan(&f.wish, &f.status, &f.order);
    return f.order.step;
}

static void test_nothing_is_done_when_the_core_is_as_the_record_wants(void **state)
{
    (void)state;
    assert_int_equal(plan(), MEMBERSHIP_DONE);
}

static void test_a_new_voter_begins_as_a_learner_to_be_promoted(void **state)
{
    (void)state;
    record(9, "east", MEMBER_VOTER);
    assert_int_equal(plan(), MEMBERSHIP_CHANGE);
    assert_int_equal(f.order.target.count, 4);
    const struct raft_server *server = &f.order.target.servers[3];
    assert_int_equal(server->id.lo, 9);
    assert_int_equal(server->region, 1);
    assert_false(server->voter);
    assert_true(server->promote);

    /* It is that now: the core promotes it by itself. */
    *serve(9, 1, false) = *server;
    assert_int_equal(plan(), MEMBERSHIP_DONE);
}

static void test_servers_are_put_in_ascending_order(void **state)
{
    (void)state;
    f.members[1].id.lo = 7;
    f.status.configuration.servers[1].id.lo = 7;
    f.status.configuration.servers[2].id.lo = 8;
    f.members[2].id.lo = 8;
    record(5, "east", MEMBER_LEARNER);
    assert_int_equal(plan(), MEMBERSHIP_CHANGE);
    for (uint32_t i = 1; i < f.order.target.count; i++) {
        assert_true(f.order.target.servers[i - 1].id.lo < f.order.target.servers[i].id.lo);
    }
    assert_false(f.order.target.servers[1].promote);
}

static void test_one_change_waits_for_the_one_before(void **state)
{
    (void)state;
    record(9, "east", MEMBER_VOTER);
    f.status.configuration_committed = false;
    assert_int_equal(plan(), MEMBERSHIP_WAIT);
    f.status.configuration_committed = true;
    f.status.configuration.servers[2].voter_old = true;
    assert_int_equal(plan(), MEMBERSHIP_WAIT);
}

static void test_the_record_of_who_leaves_goes_last(void **state)
{
    (void)state;
    f.members[2].standing = MEMBER_LEAVING;
    assert_int_equal(plan(), MEMBERSHIP_CHANGE);
    assert_int_equal(f.order.target.count, 2);
    f.status.configuration.count = 2;
    /* It is still told that it has left. */
    assert_int_equal(plan(), MEMBERSHIP_WAIT);
    f.status.peers_count = 1;
    assert_int_equal(plan(), MEMBERSHIP_GONE);
    assert_int_equal(f.order.member.lo, 3);
}

static void test_a_voter_can_become_a_learner(void **state)
{
    (void)state;
    f.members[1].standing = MEMBER_LEARNER;
    assert_int_equal(plan(), MEMBERSHIP_CHANGE);
    assert_false(f.order.target.servers[1].voter);
    assert_false(f.order.target.servers[1].promote);
    assert_int_equal(f.order.target.count, 3);
}

static void test_a_server_without_a_record_stays(void **state)
{
    (void)state;
    serve(12, 1, true);
    assert_int_equal(plan(), MEMBERSHIP_DONE);
    f.wish.rules.heartbeat_ms = 20;
    f.wish.rules.election_ms = 200;
    assert_int_equal(plan(), MEMBERSHIP_CHANGE);
    assert_int_equal(f.order.target.count, 4);
    assert_int_equal(f.order.target.rules.election_ms, 200);
}

static void test_a_rule_of_regions_is_lowered_at_once_and_alone(void **state)
{
    (void)state;
    f.status.configuration.rules.commit_regions_min = 2;
    f.wish.rules.commit_regions_min = 1;
    f.status.configuration_committed = false; /* nothing commits while a region is away */
    f.status.configuration.servers[2].voter_old = true;
    record(9, "east", MEMBER_VOTER);
    assert_int_equal(plan(), MEMBERSHIP_CHANGE);
    assert_int_equal(f.order.target.count, 3);
    assert_int_equal(f.order.target.rules.commit_regions_min, 1);
    assert_true(f.order.target.servers[2].voter_old);
}

static bool prefers(uint64_t now_ms, struct membership_preference *preference)
{
    struct member_id to;
    bool yes = membership_prefers(&f.wish, &f.status, now_ms, preference, &to);
    assert_true(!yes || to.lo == 2 || to.lo == 3);
    return yes;
}

static void test_leadership_moves_to_the_preferred_region_when_that_is_steady(void **state)
{
    (void)state;
    struct membership_preference preference = {0};
    assert_false(prefers(100000, &preference));
    f.wish.leader_region = "west";
    assert_false(prefers(100000, &preference));
    assert_false(prefers(100000 + MEMBERSHIP_PREFER_MS - 1, &preference));
    /* Who was waited for is away for a moment: the other one's time begins now. */
    f.status.peers[0].active = false;
    assert_false(prefers(100000 + MEMBERSHIP_PREFER_MS, &preference));
    f.status.peers[0].active = true;
    assert_false(prefers(100000 + MEMBERSHIP_PREFER_MS * 2 - 1, &preference));
    assert_true(prefers(100000 + MEMBERSHIP_PREFER_MS * 2, &preference));
    /* It did not come off; not again at once. */
    assert_false(prefers(100000 + MEMBERSHIP_PREFER_MS * 2 + 1, &preference));
    assert_true(prefers(100000 + MEMBERSHIP_PREFER_MS * 3, &preference));
}

static void test_leadership_stays_where_it_is_wanted_or_nobody_is_ready(void **state)
{
    (void)state;
    struct membership_preference preference = {0};
    f.wish.leader_region = "east";
    for (uint64_t now = 0; now < 10 * MEMBERSHIP_PREFER_MS; now += 1000) {
        assert_false(prefers(now, &preference));
    }
    f.wish.leader_region = "west";
    f.status.peers[0].caught_up = false;
    f.members[2].standing = MEMBER_LEAVING;
    for (uint64_t now = 0; now < 10 * MEMBERSHIP_PREFER_MS; now += 1000) {
        assert_false(prefers(now, &preference));
    }
}

static void test_the_level_is_what_the_oldest_member_knows(void **state)
{
    (void)state;
    assert_int_equal(membership_level(f.members, 0), 1);
    f.members[0].level = 3;
    f.members[1].level = 2;
    assert_int_equal(membership_level(f.members, 2), 2);
    assert_int_equal(membership_level(f.members, 3), 1); /* said nothing yet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing_is_done_when_the_core_is_as_the_record_wants, setup),
        cmocka_unit_test_setup(test_a_new_voter_begins_as_a_learner_to_be_promoted, setup),
        cmocka_unit_test_setup(test_servers_are_put_in_ascending_order, setup),
        cmocka_unit_test_setup(test_one_change_waits_for_the_one_before, setup),
        cmocka_unit_test_setup(test_the_record_of_who_leaves_goes_last, setup),
        cmocka_unit_test_setup(test_a_voter_can_become_a_learner, setup),
        cmocka_unit_test_setup(test_a_server_without_a_record_stays, setup),
        cmocka_unit_test_setup(test_a_rule_of_regions_is_lowered_at_once_and_alone, setup),
        cmocka_unit_test_setup(test_leadership_moves_to_the_preferred_region_when_that_is_steady,
                               setup),
        cmocka_unit_test_setup(test_leadership_stays_where_it_is_wanted_or_nobody_is_ready, setup),
        cmocka_unit_test_setup(test_the_level_is_what_the_oldest_member_knows, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
