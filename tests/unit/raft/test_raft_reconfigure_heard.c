/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a leader makes no change after which those that answer it could decide nothing. Method:
 * virtual clusters with fixed delays, in which some are dead. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_two_of_five_down_nobody_goes_but_the_dead),
        cmocka_unit_test(test_who_is_dead_by_evidence_does_not_count_as_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
