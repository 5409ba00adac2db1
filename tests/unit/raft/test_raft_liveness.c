/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a partial partition that leaves some majority whole does not stop the cluster, and does not
 * make leaders or terms change for ever (the outage that Cloudflare described in 2020, and the
 * cases of Howard and Abraham of the same year). Method: links cut at random, both ways, for good;
 * then commits must go on, and the leader must come to rest. SEED=n replays one graph. */
#include "tests/support/raft_cluster.h"
#include "tests/support/support_seed.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    GRAPHS = 400
};

static struct raft_cluster *new_cluster(uint32_t nodes, uint64_t seed)
{
    struct raft_cluster_options options = {
        .nodes = nodes,
        .seed = seed,
        .link = {.delay_min = 1, .delay_max = 15},
        .disk_min_ms = 1,
        .disk_max_ms = 5,
    };
    return raft_cluster_new(&options);
}

static bool is_linked(const struct raft_cluster *cluster, uint32_t a, uint32_t b)
{
    return !cluster->net.links[a][b].cut && !cluster->net.links[b][a].cut;
}

static void cut_link(struct raft_cluster *cluster, uint32_t a, uint32_t b)
{
    sim_net_set_cut(&cluster->net, a, b, true);
    sim_net_set_cut(&cluster->net, b, a, true);
}

/* True if a majority of the nodes hear each other, all pairs of them. */
static bool has_whole_majority(const struct raft_cluster *cluster)
{
    uint32_t nodes = cluster->options.nodes;
    for (uint32_t set = 0; set < 1U << nodes; set++) {
        bool whole = (uint32_t)__builtin_popcount(set) > nodes / 2;
        for (uint32_t a = 1; a <= nodes && whole; a++) {
            for (uint32_t b = a + 1; b <= nodes && whole; b++) {
                bool both = (set >> (a - 1) & set >> (b - 1) & 1U) != 0;
                whole = !both || is_linked(cluster, a, b);
            }
        }
        if (whole) {
            return true;
        }
    }
    return false;
}

static uint64_t highest_term(const struct raft_cluster *cluster)
{
    uint64_t term = 0;
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        uint64_t of_node = raft_cluster_status(cluster, node).term;
        term = of_node > term ? of_node : term;
    }
    return term;
}

static void work(struct raft_cluster *cluster, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 100) {
        for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
            if (cluster->nodes[node].update.role == RAFT_LEADER) {
                (void)raft_cluster_propose(cluster, node, "w", 1);
            }
        }
        raft_cluster_run(cluster, 100);
    }
}

static void expect_life(struct raft_cluster *cluster)
{
    work(cluster, 15000);
    uint64_t committed = cluster->oracle.committed_count;
    uint64_t term = highest_term(cluster);
    work(cluster, 10000);
    /* At rest, nearly every proposal is committed and nobody's term moves. */
    CHECK(cluster->oracle.committed_count >= committed + 80);
    CHECK(highest_term(cluster) == term);
}

static void test_partial_partitions_with_a_whole_majority_do_not_stop_the_cluster(void **state)
{
    (void)state;
    bool one = getenv("SEED") != NULL;
    uint64_t seed = support_seed();
    int tried = 0;
    for (uint64_t i = 0; i < (one ? 1 : GRAPHS); i++) {
        struct prng prng;
        prng_init_stream(&prng, seed + i, "graph");
        struct raft_cluster *cluster = new_cluster(prng_chance(&prng, 300) ? 3 : 5, seed + i);
        CHECK(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
        for (uint32_t a = 1; a <= cluster->options.nodes; a++) {
            for (uint32_t b = a + 1; b <= cluster->options.nodes; b++) {
                if (prng_chance(&prng, 350)) {
                    cut_link(cluster, a, b);
                }
            }
        }
        if (has_whole_majority(cluster)) {
            tried++;
            expect_life(cluster);
        }
        raft_cluster_free(cluster);
    }
    assert_true(one || tried > GRAPHS / 10);
}

static void test_a_member_cut_off_from_its_leader_alone_does_not_disturb(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, support_seed());
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
    uint32_t leader = raft_cluster_leader(cluster);
    cut_link(cluster, leader, leader % 3 + 1);
    uint64_t term = highest_term(cluster);
    work(cluster, 20000);
    assert_int_equal(raft_cluster_leader(cluster), leader);
    assert_int_equal(highest_term(cluster), term);
    raft_cluster_free(cluster);
}

static void test_a_leader_that_is_heard_but_does_not_hear_gives_way(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, support_seed());
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
    uint32_t deaf = raft_cluster_leader(cluster);
    for (uint32_t node = 1; node <= 3; node++) {
        sim_net_set_cut(&cluster->net, node, deaf, true);
    }
    uint64_t committed = cluster->oracle.committed_count;
    work(cluster, 5000);
    assert_int_not_equal(raft_cluster_leader(cluster), deaf);
    assert_true(cluster->oracle.committed_count > committed + 10);
    raft_cluster_free(cluster);
}

static void test_an_isolated_member_comes_back_without_an_election(void **state)
{
    (void)state;
    struct raft_cluster *cluster = new_cluster(3, support_seed());
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
    uint32_t leader = raft_cluster_leader(cluster);
    uint64_t term = highest_term(cluster);
    raft_cluster_isolate(cluster, leader % 3 + 1);
    work(cluster, 20000);
    raft_cluster_heal(cluster);
    assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 2000));
    assert_int_equal(raft_cluster_leader(cluster), leader);
    assert_int_equal(highest_term(cluster), term);
    raft_cluster_free(cluster);
}

/* Links come and go for a minute, one way or both, never so many that no majority is left. */
static void flap(struct raft_cluster *cluster, struct prng *prng, uint32_t victim)
{
    for (int turn = 0; turn < 200; turn++) {
        uint32_t nodes = cluster->options.nodes;
        uint32_t other = victim % nodes + 1 + (uint32_t)prng_below(prng, nodes - 1);
        other = (other - 1) % nodes + 1;
        other = other == victim ? other % nodes + 1 : other;
        bool cut = prng_chance(prng, 500);
        if (prng_chance(prng, 700)) {
            sim_net_set_cut(&cluster->net, victim, other, cut);
        }
        if (prng_chance(prng, 700)) {
            sim_net_set_cut(&cluster->net, other, victim, cut);
        }
        work(cluster, 300);
    }
}

static void test_a_follower_with_flapping_links_changes_no_leader_and_no_term(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    for (uint64_t i = 0; i < 20; i++) {
        struct prng prng;
        prng_init_stream(&prng, seed + i, "flap");
        struct raft_cluster *cluster = new_cluster(prng_chance(&prng, 500) ? 3 : 5, seed + i);
        assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
        uint32_t leader = raft_cluster_leader(cluster);
        uint64_t term = highest_term(cluster);
        uint64_t committed = cluster->oracle.committed_count;
        flap(cluster, &prng, leader % cluster->options.nodes + 1);
        assert_int_equal(raft_cluster_leader(cluster), leader);
        assert_int_equal(highest_term(cluster), term);
        assert_true(cluster->oracle.committed_count > committed + 500);
        raft_cluster_free(cluster);
    }
}

static void test_a_leader_with_flapping_links_costs_few_terms(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    for (uint64_t i = 0; i < 20; i++) {
        struct prng prng;
        prng_init_stream(&prng, seed + i, "flap");
        struct raft_cluster *cluster = new_cluster(prng_chance(&prng, 500) ? 3 : 5, seed + i);
        assert_true(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
        uint64_t term = highest_term(cluster);
        uint64_t committed = cluster->oracle.committed_count;
        /* Another takes over, and the one with bad links does not take it back. */
        flap(cluster, &prng, raft_cluster_leader(cluster));
        assert_true(highest_term(cluster) <= term + 20);
        assert_true(cluster->oracle.committed_count > committed + 300);
        raft_cluster_free(cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partial_partitions_with_a_whole_majority_do_not_stop_the_cluster),
        cmocka_unit_test(test_a_member_cut_off_from_its_leader_alone_does_not_disturb),
        cmocka_unit_test(test_a_leader_that_is_heard_but_does_not_hear_gives_way),
        cmocka_unit_test(test_an_isolated_member_comes_back_without_an_election),
        cmocka_unit_test(test_a_follower_with_flapping_links_changes_no_leader_and_no_term),
        cmocka_unit_test(test_a_leader_with_flapping_links_costs_few_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
