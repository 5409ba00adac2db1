/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a change of members goes through whatever happens in the middle of it, one at a time, and
 * neither who leaves nor who comes disturbs. Method: virtual clusters with fixed delays. */
#include "raft/membership.h"
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

static enum raft_change_refusal add(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_add(cluster, &target, node, true);
    return raft_cluster_change(cluster, raft_cluster_leader(cluster), &target);
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

static bool is_joint(const struct raft_cluster *cluster, uint32_t node)
{
    struct raft_status status = raft_cluster_status(cluster, node);
    return membership_is_joint(&status.configuration);
}

static void settle(struct raft_cluster *cluster)
{
    raft_cluster_run(cluster, 1500);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 8000));
    raft_cluster_match_logs(cluster);
}

static void test_a_learner_becomes_a_voter_by_itself_once_it_has_caught_up(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 3, 1);
    (void)raft_cluster_propose(cluster, raft_cluster_leader(cluster), "a", 50);
    assert_int_equal(add(cluster, 4), RAFT_CHANGE_OK);
    settle(cluster);
    assert_int_equal(voters(cluster), 4);
    raft_cluster_free(cluster);
}

static void test_a_dead_learner_is_never_promoted(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 3, 2);
    raft_cluster_crash(cluster, 4);
    assert_int_equal(add(cluster, 4), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 5000);
    assert_int_equal(voters(cluster), 3);
    raft_cluster_start(cluster, 4);
    settle(cluster);
    assert_int_equal(voters(cluster), 4);
    raft_cluster_free(cluster);
}

static void test_only_one_change_is_under_way(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(5, 3, 3);
    assert_int_equal(add(cluster, 4), RAFT_CHANGE_OK);
    assert_int_equal(add(cluster, 5), RAFT_CHANGE_UNDER_WAY);
    settle(cluster);
    assert_int_equal(add(cluster, 5), RAFT_CHANGE_OK);
    raft_cluster_free(cluster);
}

static void test_only_the_leader_takes_a_change(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 3, 4);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_add(cluster, &target, 4, true);
    uint32_t follower = raft_cluster_leader(cluster) % 3 + 1;
    assert_int_equal(raft_cluster_change(cluster, follower, &target), RAFT_CHANGE_NOT_LEADER);
    assert_int_equal(cluster->nodes[follower].update.propose_error, ERR_NOT_LEADER);
    raft_cluster_free(cluster);
}

static bool has_new_leader(struct raft_cluster *cluster)
{
    uint32_t leader = raft_cluster_leader(cluster);
    return leader != 0 && cluster->nodes[leader].update.term > 1;
}

static void test_a_new_leader_changes_nothing_before_an_entry_of_its_own_term(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 3, 5);
    uint32_t old = raft_cluster_leader(cluster);
    raft_cluster_crash(cluster, old);
    assert_true(raft_cluster_run_until(cluster, has_new_leader, 5000));
    assert_int_equal(add(cluster, 4), RAFT_CHANGE_TOO_EARLY);
    raft_cluster_run(cluster, 200);
    assert_int_equal(add(cluster, 4), RAFT_CHANGE_OK);
    raft_cluster_free(cluster);
}

static void test_a_leader_that_is_removed_leads_until_then_and_hands_over(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 6);
    uint32_t old = raft_cluster_leader(cluster);
    assert_int_equal(take_out(cluster, old), RAFT_CHANGE_OK);
    assert_int_equal(raft_cluster_leader(cluster), old);
    assert_int_equal(raft_cluster_propose(cluster, old, "a", 1), ERR_OK);
    uint64_t asked_ms = cluster->now_ms;
    while (raft_cluster_leader(cluster) == old || !raft_cluster_is_settled(cluster)) {
        raft_cluster_run(cluster, 1);
        assert_true(cluster->now_ms < asked_ms + 200);
    }
    settle(cluster);
    assert_int_equal(voters(cluster), 2);
    assert_int_equal(cluster->nodes[old].update.role, RAFT_FOLLOWER);
    raft_cluster_free(cluster);
}

static void test_a_removed_server_learns_of_it_and_disturbs_nobody(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 4, 7);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t gone = leader % 4 + 1;
    assert_int_equal(take_out(cluster, gone), RAFT_CHANGE_OK);
    settle(cluster);
    assert_false(raft_cluster_status(cluster, gone).member);
    assert_true(raft_cluster_status(cluster, gone).configuration_committed);
    uint64_t term = cluster->nodes[leader].update.term;
    raft_cluster_run(cluster, 20000);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    assert_int_equal(cluster->nodes[leader].update.term, term);
    assert_int_equal(cluster->nodes[gone].update.role, RAFT_FOLLOWER);
    raft_cluster_free(cluster);
}

static void test_a_server_that_missed_its_removal_deposes_nobody(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 4, 8);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t gone = leader % 4 + 1;
    raft_cluster_isolate(cluster, gone);
    assert_int_equal(take_out(cluster, gone), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 5000);
    raft_cluster_heal(cluster);
    uint64_t term = cluster->nodes[leader].update.term;
    raft_cluster_run(cluster, 10000);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    assert_int_equal(cluster->nodes[leader].update.term, term);
    raft_cluster_free(cluster);
}

static void test_a_removed_server_can_be_added_again(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 9);
    uint32_t gone = raft_cluster_leader(cluster) % 3 + 1;
    assert_int_equal(take_out(cluster, gone), RAFT_CHANGE_OK);
    settle(cluster);
    (void)raft_cluster_propose(cluster, raft_cluster_leader(cluster), "a", 9);
    assert_int_equal(add(cluster, gone), RAFT_CHANGE_OK);
    settle(cluster);
    assert_int_equal(voters(cluster), 3);
    raft_cluster_free(cluster);
}

static void test_a_leader_that_finds_a_joint_configuration_leaves_it(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 4, 10);
    uint32_t old = raft_cluster_leader(cluster);
    assert_int_equal(take_out(cluster, old % 4 + 1), RAFT_CHANGE_OK);
    /* The joint entry is on its way; its author is gone before it can be committed. */
    raft_cluster_run(cluster, 6);
    raft_cluster_crash(cluster, old);
    assert_true(raft_cluster_run_until(cluster, has_new_leader, 5000));
    uint32_t leader = raft_cluster_leader(cluster);
    assert_true(is_joint(cluster, leader));
    raft_cluster_start(cluster, old);
    settle(cluster);
    assert_int_equal(voters(cluster), 3);
    raft_cluster_free(cluster);
}

static void test_who_alone_has_its_own_removal_leads_once_more(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(2, 2, 11);
    uint32_t old = raft_cluster_leader(cluster);
    uint32_t other = old % 2 + 1;
    assert_int_equal(take_out(cluster, old), RAFT_CHANGE_OK);
    /* The joint entry has arrived, its acknowledgement is on the way; nothing follows it. */
    raft_cluster_run(cluster, 8);
    sim_net_set_cut(&cluster->net, old, other, true);
    raft_cluster_run(cluster, 100);
    assert_false(is_joint(cluster, old));
    raft_cluster_isolate(cluster, old);
    raft_cluster_run(cluster, 3000);
    assert_true(is_joint(cluster, other));
    raft_cluster_heal(cluster);
    settle(cluster);
    assert_int_equal(raft_cluster_leader(cluster), other);
    assert_int_equal(voters(cluster), 1);
    raft_cluster_free(cluster);
}

static void test_timers_come_into_force_with_their_configuration(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, 3, 12);
    uint32_t leader = raft_cluster_leader(cluster);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    target.rules = (struct raft_rules){.heartbeat_ms = 200, .election_ms = 2000};
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_OK);
    settle(cluster);
    for (uint32_t node = 1; node <= 3; node++) {
        assert_int_equal(raft_cluster_status(cluster, node).election_ms, 2000);
        assert_int_equal(raft_cluster_status(cluster, node).heartbeat_ms, 200);
    }
    raft_cluster_crash(cluster, leader);
    raft_cluster_run(cluster, 1500);
    assert_int_equal(raft_cluster_leader(cluster), 0);
    settle(cluster);
    raft_cluster_free(cluster);
}

static void test_with_a_rule_of_regions_a_majority_in_one_region_commits_nothing(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 4, 13);
    /* Nodes 1 and 4 share a region; without 2 they and the third are a majority in two. */
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, 3);
    target.rules.commit_regions_min = 2;
    assert_int_equal(raft_cluster_change(cluster, raft_cluster_leader(cluster), &target),
                     RAFT_CHANGE_OK);
    settle(cluster);
    raft_cluster_transfer(cluster, raft_cluster_leader(cluster), 1);
    raft_cluster_run(cluster, 1000);
    raft_cluster_crash(cluster, 2);
    assert_int_equal(raft_cluster_leader(cluster), 1);
    uint64_t committed = cluster->oracle.committed_count;
    assert_int_equal(raft_cluster_propose(cluster, 1, "a", 1), ERR_OK);
    raft_cluster_run(cluster, 3000);
    assert_int_equal(cluster->oracle.committed_count, committed);
    assert_int_equal(raft_cluster_leader(cluster), 1);
    raft_cluster_start(cluster, 2);
    settle(cluster);
    assert_true(cluster->oracle.committed_count > committed);
    raft_cluster_free(cluster);
}

static void test_the_rule_of_regions_can_be_lowered_by_who_is_left(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 4, 14);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, 3);
    target.rules.commit_regions_min = 2;
    assert_int_equal(raft_cluster_change(cluster, raft_cluster_leader(cluster), &target),
                     RAFT_CHANGE_OK);
    settle(cluster);
    /* Region 2 is lost with its leader: nothing of the new leader's term can commit. */
    raft_cluster_transfer(cluster, raft_cluster_leader(cluster), 2);
    raft_cluster_run(cluster, 1000);
    raft_cluster_crash(cluster, 2);
    raft_cluster_run(cluster, 5000);
    uint32_t leader = raft_cluster_leader(cluster);
    assert_int_not_equal(leader, 0);
    target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, 2);
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_TOO_EARLY);
    target = raft_cluster_configuration(cluster);
    target.rules.commit_regions_min = 1;
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_OK);
    settle(cluster);
    target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, 2);
    assert_int_equal(raft_cluster_change(cluster, leader, &target), RAFT_CHANGE_OK);
    settle(cluster);
    raft_cluster_free(cluster);
}

static bool is_in_force(const struct raft_cluster *cluster, uint32_t node, uint32_t server)
{
    struct raft_status status = raft_cluster_status(cluster, node);
    return raft_cluster_server(&status.configuration, server) != NULL;
}

static void test_who_alone_has_its_removal_and_a_relief_on_top_leads_once_more(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(4, 3, 15);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_add(cluster, &target, 4, false);
    target.rules.commit_regions_min = 3;
    assert_int_equal(raft_cluster_change(cluster, raft_cluster_leader(cluster), &target),
                     RAFT_CHANGE_OK);
    settle(cluster);
    raft_cluster_transfer(cluster, raft_cluster_leader(cluster), 1);
    raft_cluster_run(cluster, 1000);
    assert_int_equal(raft_cluster_leader(cluster), 1);
    /* Node 4 takes the place of the leader in region 1; the others hold the joint entry, and
     * nothing that follows it. */
    target = raft_cluster_configuration(cluster);
    raft_cluster_remove(&target, 1);
    raft_cluster_server(&target, 4)->voter = true;
    assert_int_equal(raft_cluster_change(cluster, 1, &target), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 8);
    for (uint32_t node = 2; node <= 4; node++) {
        sim_net_set_cut(&cluster->net, 1, node, true);
    }
    raft_cluster_run(cluster, 100);
    assert_false(is_in_force(cluster, 1, 1));
    assert_true(is_joint(cluster, 3) && is_joint(cluster, 4));
    /* Region 2 is lost, so the operator lowers the rule, and the leader starts anew. */
    raft_cluster_crash(cluster, 2);
    target = raft_cluster_status(cluster, 1).configuration;
    target.rules.commit_regions_min = 2;
    assert_int_equal(raft_cluster_change(cluster, 1, &target), RAFT_CHANGE_OK);
    raft_cluster_run(cluster, 50);
    raft_cluster_crash(cluster, 1);
    raft_cluster_heal(cluster);
    raft_cluster_start(cluster, 1);
    settle(cluster);
    assert_int_equal(voters(cluster), 3);
    assert_false(is_in_force(cluster, raft_cluster_leader(cluster), 1));
    raft_cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_learner_becomes_a_voter_by_itself_once_it_has_caught_up),
        cmocka_unit_test(test_a_dead_learner_is_never_promoted),
        cmocka_unit_test(test_only_one_change_is_under_way),
        cmocka_unit_test(test_only_the_leader_takes_a_change),
        cmocka_unit_test(test_a_new_leader_changes_nothing_before_an_entry_of_its_own_term),
        cmocka_unit_test(test_a_leader_that_is_removed_leads_until_then_and_hands_over),
        cmocka_unit_test(test_a_removed_server_learns_of_it_and_disturbs_nobody),
        cmocka_unit_test(test_a_server_that_missed_its_removal_deposes_nobody),
        cmocka_unit_test(test_a_removed_server_can_be_added_again),
        cmocka_unit_test(test_a_leader_that_finds_a_joint_configuration_leaves_it),
        cmocka_unit_test(test_who_alone_has_its_own_removal_leads_once_more),
        cmocka_unit_test(test_who_alone_has_its_removal_and_a_relief_on_top_leads_once_more),
        cmocka_unit_test(test_timers_come_into_force_with_their_configuration),
        cmocka_unit_test(test_with_a_rule_of_regions_a_majority_in_one_region_commits_nothing),
        cmocka_unit_test(test_the_rule_of_regions_can_be_lowered_by_who_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
