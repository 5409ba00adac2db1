/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the stories of changing members and of snapshots can be read and reviewed as prose. Method:
 * as test_raft_golden.c: scripts on a virtual cluster with fixed delays (5 ms a message, 2 ms a
 * flush), traces compared with tests/golden/raft_*.txt. GOLDEN_UPDATE=1 rewrites them. */
#include "tests/support/raft_cluster.h"
#include "tests/support/support_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A level cluster, its first election left out of the trace. */
static struct raft_cluster *new_level_cluster(uint32_t nodes, uint32_t founders)
{
    struct raft_cluster_options options = {
        .nodes = nodes,
        .founders = founders,
        .voters = founders,
        .regions = 3,
        .seed = 7,
        .link = {.delay_min = 5, .delay_max = 5},
        .disk_min_ms = 2,
        .disk_max_ms = 2,
        .log_tail_entries = 2,
        .snapshot_chunk_bytes = 150,
        .snapshot_bytes_per_s = 1500,
        .trace = true,
        .trace_messages = true,
    };
    struct raft_cluster *cluster = raft_cluster_new(&options);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 3000));
    buf_clear(&cluster->trace);
    uint32_t leader = raft_cluster_leader(cluster);
    raft_cluster_note(cluster,
                      "%u leads term %u, all logs end at 1",
                      leader,
                      (unsigned)cluster->nodes[leader].update.term);
    return cluster;
}

static void settle(struct raft_cluster *cluster)
{
    raft_cluster_run(cluster, 300);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 8000));
}

static void finish(struct raft_cluster *cluster, const char *name)
{
    settle(cluster);
    raft_cluster_match_logs(cluster);
    struct raft_configuration configuration = raft_cluster_configuration(cluster);
    raft_cluster_note(cluster, "in the end:");
    for (uint32_t i = 0; i < configuration.count; i++) {
        const struct raft_server *server = &configuration.servers[i];
        raft_cluster_note(cluster,
                          "%u is a %s with a log up to %u",
                          (unsigned)server->id.lo,
                          server->voter ? "voter" : "learner",
                          (unsigned)cluster->nodes[server->id.lo].commit);
    }
    support_golden_compare(name, buf_view(&cluster->trace));
    raft_cluster_free(cluster);
}

static void change(struct raft_cluster *cluster, const struct raft_configuration *target)
{
    assert_int_equal(raft_cluster_change(cluster, raft_cluster_leader(cluster), target),
                     RAFT_CHANGE_OK);
}

static void add(struct raft_cluster *cluster, uint32_t node, bool promote)
{
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_note(cluster, "%u: shall be a learner%s", node, promote ? ", then a voter" : "");
    raft_cluster_add(cluster, &target, node, promote);
    change(cluster, &target);
}

static void take_out(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_note(cluster, "%u: shall go", node);
    raft_cluster_remove(&target, node);
    change(cluster, &target);
}

static void propose(struct raft_cluster *cluster, uint32_t count)
{
    uint32_t leader = raft_cluster_leader(cluster);
    raft_cluster_note(cluster, "%u: is asked to append %u entries", leader, count);
    assert_int_equal(raft_cluster_propose(cluster, leader, "a", count), ERR_OK);
}

static void test_story_of_a_learner_that_becomes_a_voter(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(4, 3);
    propose(cluster, 3);
    raft_cluster_run(cluster, 30);
    add(cluster, 4, true);
    finish(cluster, "raft_member_added");
}

static void test_story_of_a_member_that_is_replaced(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(4, 3);
    uint32_t dead = raft_cluster_leader(cluster) % 3 + 1;
    raft_cluster_crash(cluster, dead);
    add(cluster, 4, false);
    settle(cluster);
    raft_cluster_note(cluster, "4: shall take the place of %u", dead);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_server(&target, 4)->voter = true;
    raft_cluster_remove(&target, dead);
    change(cluster, &target);
    finish(cluster, "raft_member_replaced");
}

static void test_story_of_a_leader_that_is_removed(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3, 3);
    take_out(cluster, raft_cluster_leader(cluster));
    finish(cluster, "raft_leader_removed");
}

static void test_story_of_a_partition_in_the_middle_of_a_change(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(5, 5);
    uint32_t old = raft_cluster_leader(cluster);
    take_out(cluster, old % 5 + 1);
    /* The joint entry has reached the others, no answer has come back. */
    raft_cluster_run(cluster, 6);
    raft_cluster_isolate(cluster, old);
    raft_cluster_run(cluster, 2500);
    assert_int_not_equal(raft_cluster_leader(cluster), old);
    raft_cluster_heal(cluster);
    finish(cluster, "raft_joint_partition");
}

/* A follower is down while the log is cut behind it. */
static uint32_t leave_behind(struct raft_cluster *cluster)
{
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t behind = leader % 3 + 1;
    raft_cluster_crash(cluster, behind);
    propose(cluster, 30);
    raft_cluster_run(cluster, 100);
    assert_true(raft_cluster_snapshot(cluster, leader));
    return behind;
}

static void test_story_of_a_snapshot_to_who_was_away(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3, 3);
    uint32_t behind = leave_behind(cluster);
    raft_cluster_start(cluster, behind);
    finish(cluster, "raft_snapshot");
}

static void test_story_of_a_snapshot_that_another_leader_resumes(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3, 3);
    uint32_t old = raft_cluster_leader(cluster);
    uint32_t behind = leave_behind(cluster);
    uint32_t other = 6 - old - behind;
    assert_true(raft_cluster_snapshot(cluster, other));
    raft_cluster_start(cluster, behind);
    for (int ms = 0; ms < 3000 && cluster->nodes[behind].partial.len < 150; ms++) {
        raft_cluster_run(cluster, 1);
    }
    assert_true(cluster->nodes[behind].partial.len < 400);
    raft_cluster_note(cluster, "%u: is killed in the middle of it", old);
    raft_cluster_crash(cluster, old);
    raft_cluster_run(cluster, 2500);
    raft_cluster_start(cluster, old);
    finish(cluster, "raft_snapshot_resumed");
}

static void test_story_of_a_rule_of_two_regions(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(4, 4);
    struct raft_configuration target = raft_cluster_configuration(cluster);
    raft_cluster_note(cluster,
                      "1 and 4, which share a region, and 2 stay; commits need two regions");
    raft_cluster_remove(&target, 3);
    target.rules.commit_regions_min = 2;
    change(cluster, &target);
    settle(cluster);
    uint32_t leader = raft_cluster_leader(cluster);
    if (leader == 2) {
        raft_cluster_transfer(cluster, leader, 1);
        settle(cluster);
    }
    raft_cluster_crash(cluster, 2);
    propose(cluster, 1);
    raft_cluster_run(cluster, 400);
    raft_cluster_note(cluster, "a majority has it, in one region: nothing is committed");
    target = raft_cluster_configuration(cluster);
    raft_cluster_note(cluster, "the rule is lowered");
    target.rules.commit_regions_min = 1;
    change(cluster, &target);
    finish(cluster, "raft_regions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story_of_a_learner_that_becomes_a_voter),
        cmocka_unit_test(test_story_of_a_member_that_is_replaced),
        cmocka_unit_test(test_story_of_a_leader_that_is_removed),
        cmocka_unit_test(test_story_of_a_partition_in_the_middle_of_a_change),
        cmocka_unit_test(test_story_of_a_snapshot_to_who_was_away),
        cmocka_unit_test(test_story_of_a_snapshot_that_another_leader_resumes),
        cmocka_unit_test(test_story_of_a_rule_of_two_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
