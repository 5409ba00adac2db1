/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the story of each protocol of the consensus core can be read and reviewed as prose.
 * Method: scripts on a virtual cluster with fixed delays (5 ms a message, 2 ms a flush); the trace
 * is compared with tests/golden/raft_*.txt. GOLDEN_UPDATE=1 rewrites them. */
#include "tests/support/raft_cluster.h"
#include "tests/support/support_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct raft_cluster *new_cluster(uint32_t nodes)
{
    struct raft_cluster_options options = {
        .nodes = nodes,
        .seed = 7,
        .link = {.delay_min = 5, .delay_max = 5},
        .disk_min_ms = 2,
        .disk_max_ms = 2,
        .evidence_ms = 0,
        .trace = true,
        .trace_messages = true,
    };
    return raft_cluster_new(&options);
}

/* A cluster that has a leader and is level, its first election left out of the trace. */
static struct raft_cluster *new_level_cluster(uint32_t nodes)
{
    struct raft_cluster *cluster = new_cluster(nodes);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 3000));
    buf_clear(&cluster->trace);
    uint32_t leader = raft_cluster_leader(cluster);
    raft_cluster_note(cluster,
                      "%u leads term %u, all logs end at 1",
                      leader,
                      (unsigned)cluster->nodes[leader].update.term);
    return cluster;
}

static void finish(struct raft_cluster *cluster, const char *name)
{
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 5000));
    raft_cluster_match_logs(cluster);
    raft_cluster_note(cluster, "level: every log ends at %u", (unsigned)cluster->nodes[1].commit);
    support_golden_compare(name, buf_view(&cluster->trace));
    raft_cluster_free(cluster);
}

static void propose(struct raft_cluster *cluster, uint32_t node, const char *text, uint32_t count)
{
    raft_cluster_note(cluster, "%u: is asked to append %u x %s", node, count, text);
    assert_int_equal(raft_cluster_propose(cluster, node, text, count), ERR_OK);
}

static uint32_t follower_of(const struct raft_cluster *cluster, uint32_t leader)
{
    return leader % cluster->options.nodes + 1;
}

static void test_story_of_an_election(void **state)
{
    (void)state;
    finish(new_cluster(3), "raft_election");
}

static void test_story_of_a_cluster_of_one(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(1);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 3000));
    propose(cluster, 1, "a", 2);
    raft_cluster_note(cluster, "1: is asked for a read");
    raft_cluster_read(cluster, 1);
    finish(cluster, "raft_one_member");
}

static void test_story_of_a_leader_that_is_not_heard_any_more(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t old = raft_cluster_leader(cluster);
    raft_cluster_crash(cluster, old);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 5000));
    propose(cluster, raft_cluster_leader(cluster), "a", 1);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 5000));
    raft_cluster_start(cluster, old);
    finish(cluster, "raft_leader_failover");
}

static void test_story_of_a_partition_that_heals(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t old = raft_cluster_leader(cluster);
    raft_cluster_isolate(cluster, old);
    propose(cluster, old, "lost", 3);
    raft_cluster_note(cluster, "%u: is asked for a read", old);
    raft_cluster_read(cluster, old);
    raft_cluster_run(cluster, 2000);
    propose(cluster, raft_cluster_leader(cluster), "kept", 2);
    raft_cluster_run(cluster, 100);
    raft_cluster_heal(cluster);
    finish(cluster, "raft_partition_heal");
}

static void test_story_of_a_pipeline(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    for (int i = 0; i < 4; i++) {
        propose(cluster, leader, "p", 2);
        raft_cluster_run(cluster, 1);
    }
    finish(cluster, "raft_pipelining");
}

static void test_story_of_a_vote_that_was_not_durable(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t voter = follower_of(cluster, leader);
    uint32_t candidate = follower_of(cluster, voter);
    raft_cluster_crash(cluster, leader);
    raft_cluster_note(cluster, "%u: its disk becomes slow", voter);
    cluster->nodes[voter].disk.delay_min = 300;
    cluster->nodes[voter].disk.delay_max = 300;
    struct raft_message ask = {
        .type = RAFT_REQUEST_VOTE,
        .from = raft_cluster_member(candidate),
        .to = raft_cluster_member(voter),
        .term = 2,
        .request_vote = {.last_index = 1, .last_term = 1, .disrupt = true},
    };
    raft_cluster_note(cluster, "%u: is asked by %u for its vote in term 2", voter, candidate);
    raft_cluster_step(
        cluster, voter, (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = &ask});
    raft_cluster_run(cluster, 100);
    raft_cluster_note(cluster, "%u: has told nobody; the vote dies with it", voter);
    raft_cluster_crash(cluster, voter);
    cluster->nodes[voter].disk.delay_min = 2;
    cluster->nodes[voter].disk.delay_max = 2;
    raft_cluster_start(cluster, voter);
    assert_int_equal(raft_cluster_status(cluster, voter).term, 1);
    raft_cluster_start(cluster, leader);
    finish(cluster, "raft_vote_durability");
}

static void test_story_of_reads(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    propose(cluster, leader, "a", 1);
    raft_cluster_note(cluster, "%u: is asked for two reads, then for one more", leader);
    raft_cluster_read(cluster, leader);
    raft_cluster_read(cluster, leader);
    raft_cluster_run(cluster, 4);
    raft_cluster_read(cluster, leader);
    raft_cluster_run(cluster, 40);
    raft_cluster_note(
        cluster, "%u: is asked for a read, but follows", follower_of(cluster, leader));
    raft_cluster_read(cluster, follower_of(cluster, leader));
    raft_cluster_isolate(cluster, leader);
    raft_cluster_note(cluster, "%u: is asked for a read", leader);
    raft_cluster_read(cluster, leader);
    raft_cluster_run(cluster, 1500);
    raft_cluster_heal(cluster);
    finish(cluster, "raft_read_index");
}

static void test_story_of_evidence_of_death(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    cluster->options.evidence_ms = 1;
    raft_cluster_crash(cluster, leader);
    uint64_t crashed_ms = cluster->now_ms;
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_settled, 5000));
    raft_cluster_note(cluster,
                      "a new leader is followed %u ms after the crash",
                      (unsigned)(cluster->now_ms - crashed_ms));
    assert_true(cluster->now_ms - crashed_ms < 100);
    finish(cluster, "raft_evidence_of_death");
}

static void test_story_of_evidence_that_was_wrong(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t fooled = follower_of(cluster, leader);
    raft_cluster_evidence(cluster, fooled, leader, true);
    raft_cluster_run(cluster, 120);
    raft_cluster_evidence(cluster, fooled, leader, false);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    finish(cluster, "raft_evidence_withdrawn");
}

static void test_story_of_a_hand_over(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t target = follower_of(cluster, leader);
    propose(cluster, leader, "a", 2);
    raft_cluster_transfer(cluster, leader, target);
    assert_int_equal(raft_cluster_propose(cluster, leader, "b", 1), ERR_UNAVAILABLE);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_settled, 400));
    raft_cluster_run(cluster, 100);
    assert_int_equal(raft_cluster_leader(cluster), target);
    finish(cluster, "raft_hand_over");
}

static void test_story_of_a_hand_over_to_the_dead(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t target = follower_of(cluster, leader);
    raft_cluster_crash(cluster, target);
    propose(cluster, leader, "a", 1);
    raft_cluster_transfer(cluster, leader, target);
    raft_cluster_run(cluster, 600);
    propose(cluster, leader, "b", 1);
    raft_cluster_start(cluster, target);
    finish(cluster, "raft_hand_over_fails");
}

static void slow_disk(struct raft_cluster *cluster, uint32_t node, uint64_t delay_ms)
{
    raft_cluster_note(cluster, "%u: its disk takes %u ms now", node, (unsigned)delay_ms);
    cluster->nodes[node].disk.delay_min = delay_ms;
    cluster->nodes[node].disk.delay_max = delay_ms;
}

static void test_story_of_a_leader_whose_disk_stalls(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_level_cluster(3);
    uint32_t leader = raft_cluster_leader(cluster);
    slow_disk(cluster, leader, 1500);
    propose(cluster, leader, "a", 1);
    raft_cluster_run(cluster, 1000);
    assert_int_not_equal(raft_cluster_leader(cluster), leader);
    slow_disk(cluster, leader, 2);
    finish(cluster, "raft_stalled_disk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story_of_an_election),
        cmocka_unit_test(test_story_of_a_cluster_of_one),
        cmocka_unit_test(test_story_of_a_leader_that_is_not_heard_any_more),
        cmocka_unit_test(test_story_of_a_partition_that_heals),
        cmocka_unit_test(test_story_of_a_pipeline),
        cmocka_unit_test(test_story_of_a_vote_that_was_not_durable),
        cmocka_unit_test(test_story_of_reads),
        cmocka_unit_test(test_story_of_evidence_of_death),
        cmocka_unit_test(test_story_of_evidence_that_was_wrong),
        cmocka_unit_test(test_story_of_a_hand_over),
        cmocka_unit_test(test_story_of_a_hand_over_to_the_dead),
        cmocka_unit_test(test_story_of_a_leader_whose_disk_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
