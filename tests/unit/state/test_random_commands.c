/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary commands against the rules that must hold whatever arrives: the same commands give the
 * same bytes on two members; refusals change nothing; epochs, floors, timelines and versions only
 * grow; an office ends before the next begins; and no decision, judged here by brute force over all
 * sets of standbys that could have acknowledged a write, can lose one.
 * SEED=n repeats a run, COMMANDS=n makes it longer. */
#include "random_command.h"
#include "state/apply.h"
#include "state/ledger.h"
#include "state/ledger_run.h"
#include "state/tables_memory.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    SHARDS = 3,
    COMMANDS_DEFAULT = 40000,
    PER_WORLD = 4000, /* then a new one, so that early states are met often */
};

struct member_state {
    struct tables_memory *memory;
    struct tables tables;
};

/* What members mirror beside the shards. */
struct topology {
    struct cluster_info cluster;
    struct region regions[REGIONS_MAX];
    struct member members[MEMBERS_MAX];
};

struct run {
    struct prng prng;
    struct member_state members[2];
    struct shard_view views[SHARDS + 1]; /* id 0: no such shard */
    struct topology topology;
    uint64_t index;
    uint64_t term;
    uint64_t passed[COMMAND_KIND_COUNT];
    struct command command;
    struct command_result result;
};

static uint64_t commands_wanted(void)
{
    const char *text = getenv("COMMANDS");
    return text == NULL ? COMMANDS_DEFAULT : strtoull(text, NULL, 10);
}

static void world_begin(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        run->members[i].memory = tables_memory_new();
        run->members[i].tables = tables_memory_tables(run->members[i].memory);
    }
    memset(run->views, 0, sizeof(run->views));
    memset(&run->topology, 0, sizeof(run->topology));
    run->index = 0;
    run->term = 1;
}

static void world_end(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        tables_memory_free(run->members[i].memory);
    }
}

static void view_of(struct run *run, uint32_t shard, struct shard_view *view_out)
{
    memset(view_out, 0, sizeof(*view_out));
    if (query_shard(&run->members[0].tables, (struct shard_id){shard}, view_out) != ERR_OK) {
        memset(view_out, 0, sizeof(*view_out));
    }
}

/* A mirror is refreshed after the kinds whose column says so, and after no others. */
static void assert_change_of_topology_is_told(struct run *run, enum command_kind kind)
{
    struct topology now;
    memset(&now, 0, sizeof(now));
    query_cluster(&run->members[0].tables, &now.cluster);
    (void)query_regions(&run->members[0].tables, now.regions, REGIONS_MAX);
    (void)query_members(&run->members[0].tables, now.members, MEMBERS_MAX);
    now.cluster.shards_count = 0; /* these are counted by whoever is told of shards */
    now.cluster.failovers_count = 0;
    if (memcmp(&now, &run->topology, sizeof(now)) != 0 && !command_kind_changes_topology(kind)) {
        fail_msg("%s changes what members mirror, and its column in COMMAND_TABLE denies it",
                 command_kind_name(kind));
    }
    run->topology = now;
}

static void assert_members_agree(const struct run *run)
{
    struct apply_position a;
    struct apply_position b;
    struct ledger_head head_a;
    struct ledger_head head_b;
    apply_position(&run->members[0].tables, &a);
    apply_position(&run->members[1].tables, &b);
    query_ledger_head(&run->members[0].tables, &head_a);
    query_ledger_head(&run->members[1].tables, &head_b);
    assert_int_equal(a.index, run->index);
    assert_int_equal(a.state_hash, b.state_hash);
    struct ledger_run open;
    ledger_run_get(&run->members[0].tables, &open);
    assert_int_equal(head_a.index + open.entries, run->index);
    assert_memory_equal(&head_a, &head_b, sizeof(head_a));
}

static void assert_only_grew(const struct shard_view *before,
                             const struct shard_view *after,
                             uint32_t cluster_epoch)
{
    const struct shard *old = &before->shard;
    const struct shard *now = &after->shard;
    if (now->epoch.value != old->epoch.value) {
        assert_true(now->epoch.value > old->epoch.value);
        assert_int_equal(now->epoch.value, epoch_next(old->epoch, cluster_epoch).value);
    }
    assert_true(now->primary_epoch.value >= old->primary_epoch.value);
    assert_true(now->timeline_reserved >= old->timeline_reserved);
    assert_true(position_compare(now->floor, old->floor) >= 0);
    assert_true(now->sync.version >= old->sync.version);
    assert_true(now->changed_index > old->changed_index);
    assert_true(after->failover.id >= before->failover.id);
    if (now->primary_epoch.value != old->primary_epoch.value) {
        /* Another office: the one before had ended, and a timeline of its own is reserved. */
        assert_int_not_equal(old->lease, LEASE_OPEN);
        assert_int_equal(now->timeline_reserved, shard_timelines_given(old, cluster_epoch) + 1);
    }
    if (before->failover.id != after->failover.id && before->failover.id != 0) {
        assert_int_not_equal(after->shard.lease, LEASE_OPEN);
    }
}

/* Could a write have been acknowledged, by W members of a recorded pair, that none of the reporters
 * holds? Every subset is tried. */
static bool write_could_be_missed(const struct sync_pair *pair, const struct failover *failover)
{
    for (uint32_t set = 0; set < (UINT32_C(1) << pair->members_count); set++) {
        uint32_t size = 0;
        bool known = false;
        for (uint32_t i = 0; i < pair->members_count; i++) {
            if ((set >> i & 1) == 0) {
                continue;
            }
            size++;
            for (uint32_t k = 0; k < failover->reports_count; k++) {
                known =
                    known ||
                    (failover->reports[k].instance.value == pair->members[i].instance.value &&
                     failover->reports[k].incarnation.value == pair->members[i].incarnation.value);
            }
        }
        if (size >= pair->required && !known) {
            return true;
        }
    }
    return false;
}

static void assert_decision_loses_nothing(const struct run *run, const struct shard_view *before)
{
    const struct failover *failover = &before->failover;
    uint32_t candidate = run->command.failover.candidate.value;
    if (failover->cause == CAUSE_BOOTSTRAP) {
        assert_int_equal(before->shard.primary.value, 0);
        return;
    }
    assert_int_not_equal(failover->proof, PROOF_NONE);
    if (failover->in_place) {
        assert_int_equal(failover->proof, PROOF_FENCE);
        assert_int_equal(candidate, failover->old_primary.value);
        return;
    }
    struct position own = {0, 0};
    bool returns = candidate == failover->old_primary.value;
    if (returns) {
        assert_true(failover->witnessed);
        own = failover->own.position;
        assert_true(position_compare(own, failover_own_floor(failover)) >= 0);
    }
    for (uint32_t k = 0; k < failover->reports_count; k++) {
        assert_int_not_equal(failover->reports[k].instance.value, failover->old_primary.value);
        if (failover->reports[k].instance.value == candidate) {
            own = failover->reports[k].position;
        }
    }
    assert_int_not_equal(own.timeline, 0);
    assert_true(position_compare(own, before->shard.floor) >= 0);
    for (uint32_t k = 0; returns && k < failover->reports_count; k++) {
        assert_true(position_compare(failover->reports[k].position, own) <= 0);
    }
    if (before->shard.mode != SHARD_SYNC) {
        return;
    }
    assert_int_not_equal(failover->proof, PROOF_CLOCK);
    assert_true(position_compare(own, failover->acked_floor) >= 0);
    for (uint32_t k = 0; k < failover->reports_count; k++) {
        assert_true(position_compare(failover->reports[k].position, own) <= 0);
    }
    for (uint32_t i = 0; i < before->shard.sync.pairs_count; i++) {
        assert_false(write_could_be_missed(&before->shard.sync.pairs[i], failover));
    }
}

static void apply_one(struct run *run)
{
    struct shard_id changed[2] = {{0}, {0}};
    struct command_result results[2];
    bool noop = prng_chance(&run->prng, 20);
    run->term += prng_chance(&run->prng, 5) ? 1 : 0;
    random_command(&run->prng, &run->members[0].tables, run->term, &run->command);
    struct apply_entry entry = {
        .index = ++run->index,
        .term = run->term,
        .raft_kind = noop ? 1 : 2,
        .undecodable = !noop && prng_chance(&run->prng, 5),
        .payload = slice_of(&run->index, sizeof(run->index)),
    };
    entry.command = noop || entry.undecodable ? NULL : &run->command;
    for (int i = 0; i < 2; i++) {
        apply_entry(&run->members[i].tables, &entry, &results[i], &changed[i]);
    }
    run->result = results[0];
    assert_memory_equal(&results[0], &results[1], sizeof(results[0]));
    assert_int_equal(changed[0].value, changed[1].value);
    assert_true(changed[0].value <= SHARDS);
    assert_true(changed[0].value == 0 || results[0].error == ERR_OK);
    if (entry.command != NULL && results[0].error == ERR_OK) {
        run->passed[run->command.kind]++;
    }
    assert_change_of_topology_is_told(run,
                                      entry.command == NULL ? COMMAND_NONE : run->command.kind);
    for (uint32_t shard = 1; shard <= SHARDS; shard++) {
        struct shard_view after;
        view_of(run, shard, &after);
        if (shard != changed[0].value) {
            assert_memory_equal(&after, &run->views[shard], sizeof(after));
            continue;
        }
        struct cluster_info info;
        query_cluster(&run->members[0].tables, &info);
        assert_only_grew(&run->views[shard], &after, info.cluster_epoch);
        if (run->command.kind == COMMAND_FAILOVER_DECIDED) {
            assert_decision_loses_nothing(run, &run->views[shard]);
        }
        run->views[shard] = after;
    }
}

static void assert_at_most_one_is_unfinished(const struct run *run)
{
    uint32_t unfinished[SHARDS + 1] = {0};
    struct cluster_info info;
    query_cluster(&run->members[0].tables, &info);
    for (uint64_t id = 1; id <= info.failovers_count; id++) {
        struct shard_view probe = {.shard = {.id = {0}}};
        assert_int_equal(query_failover(&run->members[0].tables, id, &probe.failover), ERR_OK);
        assert_int_equal(probe.failover.id, id);
        assert_true(probe.failover.shard.value <= SHARDS);
        if (shard_view_in_failover(&probe)) {
            unfinished[probe.failover.shard.value]++;
            assert_int_equal(id, run->views[probe.failover.shard.value].failover.id);
        }
    }
    for (uint32_t shard = 1; shard <= SHARDS; shard++) {
        assert_true(unfinished[shard] <= 1);
    }
}

static void test_arbitrary_commands_never_break_a_rule(void **state)
{
    (void)state;
    static struct run run;
    uint64_t commands = commands_wanted();
    prng_init(&run.prng, support_seed());
    for (uint64_t done = 0; done < commands;) {
        world_begin(&run);
        for (uint64_t i = 0; i < PER_WORLD && done < commands; i++, done++) {
            apply_one(&run);
            assert_members_agree(&run);
        }
        assert_at_most_one_is_unfinished(&run);
        struct ledger_head head;
        char problem[LEDGER_PROBLEM_SIZE];
        assert_true(ledger_verify(&run.members[0].tables, &head, problem));
        world_end(&run);
    }
    /* A run that never gets anywhere proves nothing. */
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        print_message("%-20s %8llu passed\n",
                      command_kind_name((enum command_kind)kind),
                      (unsigned long long)run.passed[kind]);
        assert_true(commands < COMMANDS_DEFAULT || run.passed[kind] > 0);
    }
}

static void test_a_copy_carries_on_to_the_same_bytes(void **state)
{
    (void)state;
    static struct run run;
    prng_init(&run.prng, support_seed());
    world_begin(&run);
    for (int i = 0; i < 500; i++) {
        apply_one(&run);
    }
    /* A member that crashed and came back with what it had. */
    struct tables_memory *copy = tables_memory_dup(run.members[1].memory);
    tables_memory_free(run.members[1].memory);
    run.members[1].memory = copy;
    run.members[1].tables = tables_memory_tables(copy);
    for (int i = 0; i < 500; i++) {
        apply_one(&run);
        assert_members_agree(&run);
    }
    world_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arbitrary_commands_never_break_a_rule),
        cmocka_unit_test(test_a_copy_carries_on_to_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
