/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: no run loses or forks anything, whatever fails, and every run recovers once faults stop.
 * Method: random clusters of one to six nodes, learners among them, under random proposals, reads,
 * hand-overs, changes of members and rules, snapshots and cut logs, crashes with torn writes and
 * half done installs, pauses, disks that hang, cuts (one-way too), loss, duplicates and reordering;
 * the oracle of raft_cluster judges each step. SEED=n replays one run (with TRACE=1 its story is
 * printed when it fails), RUNS=n sets how many are tried. */
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
    RUNS_DEFAULT = 1500,
    ROUNDS = 120,
};

/* What this run does, drawn from its seed: a fault that is off in some runs finds what it would
 * otherwise hide. */
struct swarm {
    uint32_t crash;
    uint32_t start;
    uint32_t pause;
    uint32_t stall;
    uint32_t cut;
    uint32_t one_way;
    uint32_t heal;
    uint32_t transfer;
    uint32_t false_evidence;
    uint32_t propose;
    uint32_t read;
    uint32_t snapshot;
    uint32_t change;
};

struct size {
    uint32_t nodes;
    uint32_t founders;
    uint32_t voters;
};

static uint64_t printed_seed;
static uint64_t changes_asked;
static uint64_t changes_begun;
static uint64_t installs;
static uint32_t asked_of; /* for this, whose disks have not answered yet; 0: nobody */
static struct raft_configuration asked_for;
static struct raft_cluster *shown; /* by TRACE=1 when a run fails */

static uint32_t draw(struct prng *prng, uint32_t permille_max)
{
    return prng_chance(prng, 400) ? 0 : (uint32_t)prng_below(prng, permille_max);
}

static struct raft_cluster *new_cluster(struct prng *prng, uint64_t seed)
{
    static const struct size sizes[] = {
        {1, 1, 1},
        {3, 3, 3},
        {3, 3, 3},
        {5, 5, 5},
        {2, 2, 1},
        {4, 4, 3},
        {2, 2, 2},
        {3, 1, 1},
        {4, 3, 3},
        {6, 3, 3},
        {5, 3, 3},
    };
    const struct size *size = &sizes[prng_below(prng, ARRAY_LEN(sizes))];
    uint64_t delay_min = prng_below(prng, 20);
    uint64_t disk_min = prng_below(prng, 10);
    struct raft_cluster_options options = {
        .nodes = size->nodes,
        .founders = size->founders,
        .voters = size->voters,
        .regions = prng_chance(prng, 700) ? 3 : 0,
        .log_tail_entries = prng_chance(prng, 600) ? (uint32_t)prng_between(prng, 1, 20) : 0,
        .log_tail_bytes = prng_chance(prng, 300) ? (uint32_t)prng_between(prng, 40, 300) : 0,
        .snapshot_chunk_bytes = (uint32_t)prng_between(prng, 20, 300),
        .snapshot_bytes_per_s = prng_chance(prng, 300) ? prng_between(prng, 500, 5000) : 0,
        .bad_files_permille = draw(prng, 200),
        .bad_reads_permille = draw(prng, 200),
        .seed = seed,
        .link =
            {
                .delay_min = delay_min,
                .delay_max = delay_min + (prng_chance(prng, 700) ? prng_below(prng, 60) : 0),
                .loss_permille = draw(prng, 200),
                .duplicate_permille = draw(prng, 200),
            },
        .disk_min_ms = disk_min,
        .disk_max_ms = disk_min + prng_below(prng, prng_chance(prng, 200) ? 400 : 30),
        .inflight_messages_max = prng_chance(prng, 500) ? (uint32_t)prng_between(prng, 1, 8) : 0,
        .append_bytes_max = prng_chance(prng, 500) ? (uint32_t)prng_between(prng, 1, 300) : 0,
        .evidence_ms = prng_chance(prng, 500) ? (uint32_t)prng_between(prng, 1, 30) : 0,
        .torn_crashes = prng_chance(prng, 700),
        .trace = getenv("TRACE") != NULL,
        .trace_messages = getenv("TRACE") != NULL,
    };
    return raft_cluster_new(&options);
}

static void one_fault(struct raft_cluster *cluster, struct prng *prng, const struct swarm *swarm)
{
    uint32_t nodes = cluster->options.nodes;
    uint32_t node = (uint32_t)prng_between(prng, 1, nodes);
    uint32_t other = (uint32_t)prng_between(prng, 1, nodes);
    bool up = cluster->nodes[node].raft != NULL;
    if (up && prng_chance(prng, swarm->crash)) {
        raft_cluster_crash(cluster, node);
        up = false;
    } else if (!up && prng_chance(prng, swarm->start)) {
        raft_cluster_start(cluster, node);
        up = true;
    }
    if (up && prng_chance(prng, swarm->pause)) {
        raft_cluster_pause(cluster, node, prng_below(prng, 2000));
    }
    if (up && prng_chance(prng, swarm->stall)) {
        /* The log's disk alone: files are written and read meanwhile. */
        sim_disk_stall(&cluster->nodes[node].disk, cluster->now_ms, prng_between(prng, 100, 3000));
    }
    if (prng_chance(prng, swarm->cut)) {
        raft_cluster_isolate(cluster, node);
    }
    if (prng_chance(prng, swarm->one_way)) {
        sim_net_set_cut(&cluster->net, node, other, true);
    }
    if (prng_chance(prng, swarm->heal)) {
        raft_cluster_heal(cluster);
    }
    up = up && cluster->nodes[node].paused_until_ms <= cluster->now_ms;
    if (up && prng_chance(prng, swarm->transfer)) {
        raft_cluster_transfer(cluster, node, prng_chance(prng, 300) ? 0 : other);
    }
    if (up && node != other && prng_chance(prng, swarm->false_evidence)) {
        raft_cluster_evidence(cluster, node, other, prng_chance(prng, 500));
    }
}

static void
ask(struct raft_cluster *cluster, uint32_t leader, const struct raft_configuration *target);

/* Nodes come and go, rules too; what is unlawful just now is refused, and that is fine. */
static void one_change(struct raft_cluster *cluster, struct prng *prng, uint32_t leader)
{
    struct raft_configuration target = raft_cluster_status(cluster, leader).configuration;
    /* Now and then half of them at once: only a change that large has majorities that do not meet.
     */
    bool drastic = prng_chance(prng, 400);
    for (uint32_t node = 1; node <= cluster->options.nodes && drastic; node++) {
        if (raft_cluster_server(&target, node) != NULL && prng_chance(prng, 500)) {
            raft_cluster_remove(&target, node);
        }
    }
    for (uint64_t edits = drastic ? 0 : prng_between(prng, 1, 2); edits > 0; edits--) {
        uint32_t node = (uint32_t)prng_between(prng, 1, cluster->options.nodes);
        struct raft_server *server = raft_cluster_server(&target, node);
        if (server == NULL) {
            raft_cluster_add(cluster, &target, node, prng_chance(prng, 700));
        } else if (prng_chance(prng, 400)) {
            raft_cluster_remove(&target, node);
        } else {
            server->voter = prng_chance(prng, 800);
            server->promote = !server->voter && prng_chance(prng, 500);
        }
    }
    if (prng_chance(prng, 200)) {
        /* A relief follows any configuration, also one that cannot be committed. */
        uint32_t regions_min =
            raft_cluster_status(cluster, leader).configuration.rules.commit_regions_min;
        target = raft_cluster_status(cluster, leader).configuration;
        target.rules.commit_regions_min = (uint32_t)prng_below(prng, (uint64_t)regions_min + 1);
    } else if (prng_chance(prng, 200)) {
        uint32_t heartbeat = (uint32_t)prng_between(prng, 20, 80);
        target.rules = (struct raft_rules){
            .heartbeat_ms = heartbeat,
            .election_ms = heartbeat * (uint32_t)prng_between(prng, 4, 12),
            .commit_regions_min = (uint32_t)prng_below(prng, 4),
        };
    }
    changes_asked++;
    ask(cluster, leader, &target);
}

/* Again while the disks are being asked, if something else is not wanted first. */
static void
ask(struct raft_cluster *cluster, uint32_t leader, const struct raft_configuration *target)
{
    enum raft_change_refusal refusal = raft_cluster_ask_change(cluster, leader, target);
    changes_begun += refusal == RAFT_CHANGE_OK ? 1 : 0;
    asked_of = refusal == RAFT_CHANGE_PROVING || refusal == RAFT_CHANGE_UNPROVEN ? leader : 0;
    asked_for = *target;
}

static void some_work(struct raft_cluster *cluster, struct prng *prng, const struct swarm *swarm)
{
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        const struct raft_cluster_node *host = &cluster->nodes[node];
        if (host->raft == NULL || host->paused_until_ms > cluster->now_ms) {
            continue;
        }
        if (prng_chance(prng, swarm->read)) {
            raft_cluster_read(cluster, node);
        }
        if (host->update.role == RAFT_LEADER && prng_chance(prng, swarm->propose)) {
            char text[32];
            (void)snprintf(text, sizeof(text), "c%u", (unsigned)(prng_next(prng) % 1000000));
            (void)raft_cluster_propose(cluster, node, text, (uint32_t)prng_between(prng, 1, 5));
        }
        if (host->update.role == RAFT_LEADER && prng_chance(prng, swarm->change)) {
            one_change(cluster, prng, node);
        } else if (host->update.role == RAFT_LEADER && asked_of == node) {
            const struct raft_configuration target = asked_for;
            ask(cluster, node, &target);
        }
        if (host->installing.index != 0) {
            continue;
        }
        struct raft_event applied = {
            .type = RAFT_EVENT_APPLIED,
            .applied = {.index = host->commit, .state_hash = host->commit * 7},
        };
        raft_cluster_step(cluster, node, applied);
        if (prng_chance(prng, swarm->snapshot)) {
            (void)raft_cluster_snapshot(cluster, node);
        }
    }
}

static void heal_everything(struct raft_cluster *cluster)
{
    raft_cluster_heal(cluster);
    sim_net_set_all(&cluster->net, (struct sim_link){.delay_min = 1, .delay_max = 10});
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        cluster->nodes[node].disk.delay_min = 1;
        cluster->nodes[node].disk.delay_max = 5;
        if (cluster->nodes[node].raft == NULL) {
            raft_cluster_start(cluster, node);
        }
    }
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        for (uint32_t other = 1; other <= cluster->options.nodes; other++) {
            if (node != other) {
                raft_cluster_evidence(cluster, node, other, false);
            }
        }
    }
}

static uint64_t run(uint64_t seed)
{
    struct prng prng;
    prng_init_stream(&prng, seed, "script");
    struct raft_cluster *cluster = new_cluster(&prng, seed);
    shown = cluster;
    asked_of = 0;
    struct swarm swarm = {
        .crash = draw(&prng, 80),
        .start = 20 + draw(&prng, 300),
        .pause = draw(&prng, 40),
        .stall = draw(&prng, 60),
        .cut = draw(&prng, 60),
        .one_way = draw(&prng, 100),
        .heal = 10 + draw(&prng, 150),
        .transfer = draw(&prng, 60),
        .false_evidence = draw(&prng, 60),
        .propose = 100 + draw(&prng, 900),
        .read = draw(&prng, 500),
        .snapshot = draw(&prng, 200),
        .change = draw(&prng, 300),
    };
    for (int round = 0; round < ROUNDS; round++) {
        one_fault(cluster, &prng, &swarm);
        some_work(cluster, &prng, &swarm);
        raft_cluster_run(cluster, prng_below(&prng, 150));
        if (round % 20 == 0) {
            raft_cluster_match_logs(cluster);
        }
    }
    raft_cluster_match_logs(cluster);

    heal_everything(cluster);
    cluster->options.bad_files_permille = 0;
    cluster->options.bad_reads_permille = 0;
    /* Pauses and hand-overs end; then a few election timeouts must do. */
    raft_cluster_run(cluster, 3000);
    CHECK(raft_cluster_run_until(cluster, raft_cluster_is_settled, 5000));
    uint64_t before = cluster->oracle.committed_count;
    uint32_t leader = raft_cluster_leader(cluster);
    CHECK(raft_cluster_propose(cluster, leader, "last", 1) == ERR_OK);
    CHECK(raft_cluster_run_until(cluster, raft_cluster_is_level, 20000));
    raft_cluster_run(cluster, 3000);
    CHECK(raft_cluster_is_level(cluster));
    CHECK(cluster->oracle.committed_count > before);
    CHECK(cluster->reads_count == 0);
    raft_cluster_match_logs(cluster);
    uint64_t steps = cluster->steps;
    installs += cluster->installs;
    raft_cluster_free(cluster);
    return steps;
}

static void print_seed(void)
{
    if (shown != NULL && shown->trace.len > 0) {
        (void)fwrite(shown->trace.data, 1, shown->trace.len, stderr);
    }
    (void)fprintf(stderr, "\nrerun with SEED=%llu\n", (unsigned long long)printed_seed);
}

static void test_no_run_loses_or_forks_anything_and_each_recovers(void **state)
{
    (void)state;
    const char *runs_text = getenv("RUNS");
    uint64_t runs = runs_text != NULL ? strtoull(runs_text, NULL, 10) : RUNS_DEFAULT;
    bool one = getenv("SEED") != NULL;
    uint64_t seed = support_seed();
    check_set_hook(print_seed);
    uint64_t steps = 0;
    for (uint64_t i = 0; i < (one ? 1 : runs); i++) {
        printed_seed = seed + i;
        steps += run(seed + i);
    }
    check_set_hook(NULL);
    print_message("%llu steps, %llu changes of %llu asked for, %llu snapshots installed\n",
                  (unsigned long long)steps,
                  (unsigned long long)changes_begun,
                  (unsigned long long)changes_asked,
                  (unsigned long long)installs);
    assert_true(one || (changes_begun > 0 && installs > 0));
    assert_true(steps > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_run_loses_or_forks_anything_and_each_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
