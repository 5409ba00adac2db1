/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a leader makes no change after which those that answer it, and whose disks follow, could
 * decide nothing. Method: virtual clusters with fixed delays, in which some are dead, and some
 * disks hang. */
#include "tests/support/raft_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct raft_cluster *new_cluster(uint32_t nodes, uint32_t founders, uint64_t seed)
{
    struct raft_cluster_options options = {
        .nodes = nodes,
        .founders = founders,
        .voters = founders,
        .regions = 3,
        .seed = seed,
        .link = {.delay_min = 5, .delay_max = 5},
        .disk_min_ms = 2,
        .disk_max_ms = 2,
    };
    struct raft_cluster *cluster = raft_cluster_new(&options);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 5000));
    return cluster;
}

static enum raft_change_refusal take_out(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, node);
    return raft_cluster_change(cluster, raft_cluster_leader(cluster), &target);
}

static uint32_t voters(const struct raft_cluster *cluster)
{
    struct raft_configuration configuration = raft_cluster_configuration(cluster);
    uint32_t count = 0;
    for (uint32_t i = 0; i < configuration.count; i++) {
        count += configuration.servers[i].voter ? 1 : 0;
    }
    return count;
}

static void test_with_two_of_five_down_nobody_goes_but_the_dead(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(5, 5, 21);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t dead[2] = {leader % 5 + 1, (leader + 1) % 5 + 1};
    uint32_t healthy = (leader + 2) % 5 + 1;
    raft_cluster_crash(cluster, dead[0]);
    raft_cluster_crash(cluster, dead[1]);
    raft_cluster_run(cluster, 2000);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    assert_int_equal(take_out(cluster, healthy), RAFT_CHANGE_UNHEARD);
    assert_int_equal(take_out(cluster, leader), RAFT_CHANGE_UNHEARD);
    assert_int_equal(take_out(cluster, dead[0]), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 500);
    assert_int_equal(voters(cluster), 4);
    /* Without it there would be two of three left that answer: that is enough. */
    assert_int_equal(take_out(cluster, healthy), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 500);
    assert_int_equal(voters(cluster), 3);
    raft_cluster_free(cluster);
}

static void test_who_is_dead_by_evidence_does_not_count_as_heard(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 22);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t dead = leader % 3 + 1;
    uint32_t healthy = dead % 3 + 1;
    /* It was heard a moment ago, but nobody listens there any more. */
    raft_cluster_evidence(cluster, leader, dead, true);
    assert_int_equal(take_out(cluster, healthy), RAFT_CHANGE_UNHEARD);
    /* A new process, say, which answers: that it was dead is over. */
    raft_cluster_run(cluster, 200);
    assert_int_equal(take_out(cluster, healthy), RAFT_CHANGE_OK);
    raft_cluster_free(cluster);
}

static void test_who_answers_and_makes_nothing_durable_is_not_counted_on(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 23);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t hung = leader % 3 + 1;
    uint32_t healthy = hung % 3 + 1;
    sim_disk_stall(&cluster->nodes[hung].disk, cluster->now_ms, 20000);
    raft_cluster_run(cluster, 3000);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    assert_int_equal(take_out(cluster, healthy), RAFT_CHANGE_UNPROVEN);
    assert_true(
        member_id_equal(cluster->nodes[leader].update.change_refused, raft_cluster_member(hung)));
    assert_int_equal(take_out(cluster, leader), RAFT_CHANGE_UNPROVEN);
    /* However long it is wanted: one entry asks, and the log does not grow. */
    uint64_t last = raft_cluster_status(cluster, leader).last_index;
    for (int i = 0; i < 50; i++) {
        raft_cluster_run(cluster, 100);
        assert_int_equal(take_out(cluster, healthy), RAFT_CHANGE_UNPROVEN);
    }
    assert_int_equal(raft_cluster_status(cluster, leader).last_index, last);
    /* The others decide all the while, and who hangs can go. */
    assert_int_equal(raft_cluster_propose(cluster, leader, "a", 1), ERR_OK);
    assert_int_equal(take_out(cluster, hung), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 500);
    assert_int_equal(voters(cluster), 2);
    raft_cluster_free(cluster);
}

static void test_what_was_proven_is_proven_again_when_nobody_asked_for_long(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 24);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t hung = leader % 3 + 1;
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, hung % 3 + 1);
    assert_int_equal(raft_cluster_ask_change(cluster, leader, &target), RAFT_CHANGE_PROVING);
    raft_cluster_run(cluster, 2000);
    sim_disk_stall(&cluster->nodes[hung].disk, cluster->now_ms, 20000);
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_UNPROVEN);
    raft_cluster_free(cluster);
}

static void test_who_was_first_and_hangs_since_is_asked_again_when_the_last_one_comes(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(5, 5, 26);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t goes = leader % 5 + 1;
    uint32_t first = goes % 5 + 1;
    uint32_t last = first % 5 + 1;
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, goes);
    raft_cluster_crash(cluster, last % 5 + 1);
    sim_disk_stall(&cluster->nodes[last].disk, cluster->now_ms, 5000);
    assert_int_equal(raft_cluster_ask_change(cluster, leader, &target), RAFT_CHANGE_PROVING);
    raft_cluster_run(cluster, 100);
    sim_disk_stall(&cluster->nodes[first].disk, cluster->now_ms, 20000);
    for (int i = 0; i < 600; i++) {
        raft_cluster_run(cluster, 10);
        assert_int_not_equal(raft_cluster_ask_change(cluster, leader, &target), RAFT_CHANGE_OK);
    }
    assert_int_equal(raft_cluster_leader(cluster), leader);
    raft_cluster_free(cluster);
}

static void test_a_learner_whose_disk_hangs_is_not_promoted_and_the_wish_can_be_taken_back(void **s)
{
    (void)s;
    struct raft_cluster *cluster = new_cluster(4, 3, 25);
    uint32_t leader = raft_cluster_leader(cluster);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_add(cluster, &target, 4, false);
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_OK);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 5000));
    raft_cluster_crash(cluster, leader % 3 + 1);
    sim_disk_stall(&cluster->nodes[4].disk, cluster->now_ms, 20000);
    raft_cluster_run(cluster, 2000);
    target = raft_cluster_configuration(cluster);
    raft_cluster_server(&target, 4)->promote = true;
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 3000);
    assert_int_equal(voters(cluster), 3);
    raft_cluster_server(&target, 4)->promote = false;
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 500);
    struct raft_status status = raft_cluster_status(cluster, leader);
    assert_true(status.configuration_committed);
    raft_cluster_free(cluster);
}

/* As a node does that leads: again and again, with time between. Returns how often; 0: in vain. */
static uint32_t asks_until_taken(struct raft_cluster *cluster,
                                 const struct raft_configuration *target,
                                 uint32_t most)
{
    uint32_t leader = raft_cluster_leader(cluster);
    for (uint32_t asks = 1; asks <= most; asks++) {
        if (raft_cluster_ask_change(cluster, leader, target) == RAFT_CHANGE_OK) {
            return asks;
        }
        raft_cluster_run(cluster, 50);
    }
    return 0;
}

static void test_a_disk_that_is_slow_and_follows_stops_no_change(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 27);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t dead = leader % 3 + 1;
    struct sim_disk *slow = &cluster->nodes[dead % 3 + 1].disk;
    slow->delay_min = slow->delay_max =
        (uint64_t)4 * raft_cluster_status(cluster, leader).election_ms;
    raft_cluster_crash(cluster, dead);
    raft_cluster_run(cluster, 2000);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, dead);
    assert_int_not_equal(asks_until_taken(cluster, &target, 1000), 0);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    raft_cluster_free(cluster);
}

static void test_timers_that_are_shorter_than_it_takes_to_ask_again_stop_no_change(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 28);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    target.rules = (struct raft_rules){.heartbeat_ms = 5, .election_ms = 20};
    assert_int_equal(raft_cluster_change(cluster, raft_cluster_leader(cluster), &target),
                     RAFT_CHANGE_OK);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 5000));
    target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, raft_cluster_leader(cluster) % 3 + 1);
    assert_int_not_equal(asks_until_taken(cluster, &target, 100), 0);
    raft_cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_two_of_five_down_nobody_goes_but_the_dead),
        cmocka_unit_test(test_who_is_dead_by_evidence_does_not_count_as_heard),
        cmocka_unit_test(test_who_answers_and_makes_nothing_durable_is_not_counted_on),
        cmocka_unit_test(test_what_was_proven_is_proven_again_when_nobody_asked_for_long),
        cmocka_unit_test(test_who_was_first_and_hangs_since_is_asked_again_when_the_last_one_comes),
        cmocka_unit_test(
            test_a_learner_whose_disk_hangs_is_not_promoted_and_the_wish_can_be_taken_back),
        cmocka_unit_test(test_a_disk_that_is_slow_and_follows_stops_no_change),
        cmocka_unit_test(test_timers_that_are_shorter_than_it_takes_to_ask_again_stop_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
