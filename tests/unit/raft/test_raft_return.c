/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a member that was away comes back under a load that does not stop, with snapshots taken
 * faster than they are sent: it needs one of them, not a row. Method: random clusters, one follower
 * cut off until the log has gone on without it. SEED=n replays one of them. */
#include "tests/support/raft_cluster.h"
#include "tests/support/support_seed.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    RUNS = 300,
    ROUND_MS = 100,
    AWAY_ROUNDS = 60,
    BACK_ROUNDS = 300,
    SNAPSHOT_ROUNDS = 3,
};

static uint64_t printed_seed;

static struct raft_cluster *new_cluster(struct prng *prng, uint64_t seed)
{
    uint64_t delay_min = prng_between(prng, 1, 15);
    struct raft_cluster_options options = {
        .nodes = prng_chance(prng, 500) ? 3 : 5,
        .seed = seed,
        .link = {.delay_min = delay_min, .delay_max = delay_min + prng_below(prng, 20)},
        .disk_min_ms = 1,
        .disk_max_ms = prng_between(prng, 2, 30),
        .inflight_messages_max = (uint32_t)prng_between(prng, 1, 4),
        .append_bytes_max = (uint32_t)prng_between(prng, 70, 400),
        .log_tail_entries = (uint32_t)prng_between(prng, 1, 6),
        .snapshot_chunk_bytes = (uint32_t)prng_between(prng, 20, 200),
        .snapshot_bytes_per_s = prng_chance(prng, 700) ? prng_between(prng, 200, 2000) : 0,
    };
    return raft_cluster_new(&options);
}

static void load(struct raft_cluster *cluster, uint32_t leader, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        (void)raft_cluster_propose(cluster, leader, "w", 1);
        raft_cluster_run(cluster, ROUND_MS);
        if (round % SNAPSHOT_ROUNDS == 0 && !raft_cluster_status(cluster, leader).snapshot_held) {
            (void)raft_cluster_snapshot(cluster, leader);
        }
    }
}

static void print_seed(void)
{
    (void)fprintf(stderr, "\nrerun with SEED=%llu\n", (unsigned long long)printed_seed);
}

static void run(uint64_t seed)
{
    printed_seed = seed;
    struct prng prng;
    prng_init_stream(&prng, seed, "return");
    struct raft_cluster *cluster = new_cluster(&prng, seed);
    CHECK(raft_cluster_run_until(cluster, raft_cluster_is_level, 10000));
    uint32_t leader = raft_cluster_leader(cluster);
    uint32_t away = leader % cluster->options.nodes + 1;

    raft_cluster_isolate(cluster, away);
    load(cluster, leader, AWAY_ROUNDS);
    CHECK(raft_cluster_status(cluster, leader).first_index >
          raft_cluster_status(cluster, away).last_index + 1);
    raft_cluster_heal(cluster);
    load(cluster, leader, BACK_ROUNDS);

    CHECK(raft_cluster_leader(cluster) == leader);
    CHECK(cluster->installs == 1);
    /* A few entries are always on their way. */
    CHECK(cluster->nodes[away].commit + 10 > cluster->nodes[leader].commit);
    raft_cluster_match_logs(cluster);
    raft_cluster_free(cluster);
}

static void test_a_member_that_returns_under_load_needs_one_snapshot(void **state)
{
    (void)state;
    bool one = getenv("SEED") != NULL;
    uint64_t seed = support_seed();
    check_set_hook(print_seed);
    for (uint64_t i = 0; i < (one ? 1 : RUNS); i++) {
        run(seed + i);
    }
    check_set_hook(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_that_returns_under_load_needs_one_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
