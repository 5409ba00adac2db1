/* SPDX-License-Identifier: Apache-2.0 */
/* An operator who changes the members now and then: adds those that wait, as learners that become
 * voters; removes, replaces, demotes; puts a new machine in the place of one that will not start;
 * asks for copies in two regions, and no longer. By commands, one wish at a time; that the core
 * follows the record is the leader's doing (node/membership_plan.h). */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "state/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    AGAIN_US_MIN = 500 * SIM_MS,
    AGAIN_US_MAX = 6000 * SIM_MS,
    VOTERS_MIN = 3,  /* of a member more than this, one can go */
    BEHIND_MAX = 60, /* entries */
    OPERATOR_REQUESTS = 100000,
    UUID_VERSION_7 = 0x7000,
};

/* The cluster's record, as a leader has it. */
struct record {
    struct member members[MEMBERS_MAX];
    uint32_t count;
    struct cluster_info cluster;
};

static void on_done(enum error error, const struct command_result *result, void *ctx);
static struct sim_member *in_office(struct sim *sim);
static bool any_damaged(const struct sim *sim);
static void read_record(const struct sim_member *leader, struct record *record_out);
static bool wants_change(struct sim *sim, const struct record *record, struct command *command);
static bool tidy(struct sim *sim, const struct record *record, const struct raft_status *status);
static bool draw(struct sim *sim, const struct record *record, struct command *command);
static bool repair(struct sim *sim, const struct record *record, struct command *command);
static bool add(struct sim *sim, const struct record *record, struct command *command);
static void
change(const struct member *member, enum member_standing standing, struct command *command);
static void set_regions(uint32_t regions, struct command *command);
static const struct member *find(const struct record *record, struct member_id id);
static uint32_t voters(const struct record *record);
static bool is_settled(const struct record *record, const struct raft_status *status);

void sim_operator(struct sim *sim)
{
    struct sim_member *leader = in_office(sim);
    static struct command command;
    struct raft_status status;
    struct record record;

    sim_after(sim,
              prng_between(&sim->faults, AGAIN_US_MIN, AGAIN_US_MAX),
              (struct sim_item){.kind = EV_OPERATOR});
    sim_voices_vouch(sim);
    leader = in_office(sim);
    /* A leader of before the latest change may know less than the operator does. */
    if (leader == NULL || leader->paused || leader->term < sim->change_term) {
        return;
    }
    memset(&command, 0, sizeof(command));
    raft_status(node_raft(leader->core), &status);
    read_record(leader, &record);
    if (!leader->elected) {
        /* It commits nothing: too few regions may be left for the rule, which alone is lowered. */
        if (status.configuration.rules.commit_regions_min <= 1) {
            return;
        }
        set_regions(1, &command);
    } else if (!is_settled(&record, &status) || tidy(sim, &record, &status) ||
               !wants_change(sim, &record, &command)) {
        return;
    }
    struct membership_forecast forecast;
    if (node_members_check(leader->core, &command, &forecast) != ERR_OK) {
        return; /* with those that are heard it would stop everything */
    }
    sim_trace(sim,
              "operator asks member %u%s for %s, of %u members, %u of them voters, regions %u (%u "
              "in force)",
              leader->node,
              leader->elected ? "" : " (not in office)",
              command_kind_name(command.kind),
              record.count,
              voters(&record),
              record.cluster.commit_regions,
              status.configuration.rules.commit_regions_min);
    sim->changes_count++;
    sim->change_term = leader->term;
    memcpy(command.actor, "operator", sizeof("operator"));
    command.request.hi = (OPERATOR_REQUESTS + sim->changes_count) << 16 | UUID_VERSION_7;
    command.request.lo = UINT64_C(1) << 63 | sim->changes_count;
    if (command.kind == COMMAND_CLUSTER_SET) {
        node_lower_commit_regions(leader->core, command.cluster_set.commit_regions);
    }
    node_propose(leader->core, &command, (struct proposals_waiter){.done = on_done, .ctx = leader});
    sim_member_settle(sim, leader);
}

/* As the service of settings does. */
static void on_done(enum error error, const struct command_result *result, void *ctx)
{
    const struct sim_member *leader = ctx;

    (void)error;
    (void)result;
    node_restore_commit_regions(leader->core);
}

bool sim_operator_can_lose_one(struct sim *sim)
{
    const struct sim_member *leader = sim_leader(sim);
    struct record record;
    char missing[TEXT_SIZE];

    if (leader == NULL || leader->term < sim->change_term || any_damaged(sim)) {
        return false;
    }
    read_record(leader, &record);
    return voters(&record) >= VOTERS_MIN && sim_operator_done(sim, missing, sizeof(missing));
}

bool sim_operator_done(struct sim *sim, char *missing, size_t size)
{
    const struct sim_member *leader = sim_leader(sim);
    struct raft_status status;
    struct record record;

    CHECK(leader != NULL);
    raft_status(node_raft(leader->core), &status);
    read_record(leader, &record);
    if (!is_settled(&record, &status)) {
        (void)snprintf(missing, size, "a change of members is under way");
        return false;
    }
    for (uint32_t i = 0; i < status.configuration.count; i++) {
        struct member_id id = status.configuration.servers[i].id;
        const struct sim_member *member = &sim->members[sim_node_of(id)];
        if (!member->up || !member_id_equal(member->id, id) ||
            member->applied + BEHIND_MAX < leader->applied || member->wrong ||
            node_is_quarantined(member->core)) {
            (void)snprintf(missing,
                           size,
                           "member %u is %s, at index %" PRIu64 " of %" PRIu64,
                           member->node,
                           !member->up     ? "not up"
                           : member->wrong ? "wrong"
                                           : "up",
                           member->applied,
                           leader->applied);
            return false;
        }
    }
    return true;
}

/* Whoever leads, also if it cannot commit anything yet. */
static struct sim_member *in_office(struct sim *sim)
{
    struct sim_member *leader = NULL;

    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct sim_member *member = &sim->members[i];
        if (member->up && member->role == RAFT_LEADER &&
            (leader == NULL || member->term > leader->term)) {
            leader = member;
        }
    }
    return leader;
}

static bool any_damaged(const struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        const struct sim_member *member = &sim->members[i];
        if (member->rotten || member->store.rotten || sim_wrong_for_good(member)) {
            return true;
        }
    }
    return false;
}

static void read_record(const struct sim_member *leader, struct record *record_out)
{
    query_cluster(&leader->tables, &record_out->cluster);
    record_out->count = query_members(&leader->tables, record_out->members, MEMBERS_MAX);
}

static bool wants_change(struct sim *sim, const struct record *record, struct command *command)
{
    if (record->cluster.commit_regions > 1 && (any_damaged(sim) || sim->healing)) {
        set_regions(1, command); /* whoever is left may be in too few regions */
        return true;
    }
    if (repair(sim, record, command)) {
        return true;
    }
    return !sim->healing && !any_damaged(sim) && draw(sim, record, command);
}

/* A machine that was removed comes back empty, as somebody new. */
static bool tidy(struct sim *sim, const struct record *record, const struct raft_status *status)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct sim_member *member = &sim->members[i];
        bool used = member->founder || member->applied > 0 || member->rotten;
        bool wanted = find(record, member->id) != NULL;
        for (uint32_t k = 0; k < status->configuration.count; k++) {
            wanted |= member_id_equal(status->configuration.servers[k].id, member->id);
        }
        if (used && !wanted) {
            sim_member_replace(sim, member);
            return true;
        }
    }
    return false;
}

/* Whoever will not start any more goes, after another has come in its place. */
static bool repair(struct sim *sim, const struct record *record, struct command *command)
{
    for (uint32_t i = 0; i < record->count; i++) {
        const struct sim_member *member = &sim->members[sim_node_of(record->members[i].id)];
        bool lost = member->rotten || sim_wrong_for_good(member);
        if (lost && member_id_equal(member->id, record->members[i].id)) {
            change(&record->members[i], MEMBER_LEAVING, command);
            return true;
        }
    }
    return voters(record) < VOTERS_MIN && add(sim, record, command);
}

static bool draw(struct sim *sim, const struct record *record, struct command *command)
{
    const struct member *member = &record->members[prng_below(&sim->faults, record->count)];
    bool can_go = member->standing != MEMBER_VOTER || voters(record) > VOTERS_MIN;

    switch (prng_below(&sim->faults, 6)) {
    case 0:
    case 1:
    case 2:
        return add(sim, record, command);
    case 3:
        change(member, MEMBER_LEAVING, command);
        return can_go;
    case 4:
        change(member, member->standing == MEMBER_VOTER ? MEMBER_LEARNER : MEMBER_VOTER, command);
        return can_go;
    default:
        set_regions(record->cluster.commit_regions > 1 ? 1 : 2, command);
        return true;
    }
}

static bool add(struct sim *sim, const struct record *record, struct command *command)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        const struct sim_member *member = &sim->members[i];
        if (member->up && find(record, member->id) == NULL) {
            command->kind = COMMAND_MEMBER_ADD;
            sim_member_record(member, &command->member_add.member);
            if (voters(record) >= VOTERS_MIN && prng_chance(&sim->faults, 200)) {
                command->member_add.member.standing = MEMBER_LEARNER;
            }
            return true;
        }
    }
    return false;
}

static void
change(const struct member *member, enum member_standing standing, struct command *command)
{
    command->kind = COMMAND_MEMBER_CHANGE;
    (void)snprintf(command->member_change.name, NAME_SIZE, "%s", member->name);
    command->member_change.standing = standing;
}

static void set_regions(uint32_t regions, struct command *command)
{
    command->kind = COMMAND_CLUSTER_SET;
    command->cluster_set.commit_regions = regions;
}

static const struct member *find(const struct record *record, struct member_id id)
{
    for (uint32_t i = 0; i < record->count; i++) {
        if (member_id_equal(record->members[i].id, id)) {
            return &record->members[i];
        }
    }
    return NULL;
}

static uint32_t voters(const struct record *record)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < record->count; i++) {
        count += record->members[i].standing == MEMBER_VOTER;
    }
    return count;
}

/* The record is what the core has, and nobody is on the way out, or in. */
static bool is_settled(const struct record *record, const struct raft_status *status)
{
    uint32_t wanted_voters = voters(record);
    uint32_t found_voters = 0;

    for (uint32_t i = 0; i < record->count; i++) {
        if (record->members[i].standing == MEMBER_LEAVING) {
            return false;
        }
    }
    for (uint32_t i = 0; i < status->configuration.count; i++) {
        const struct raft_server *server = &status->configuration.servers[i];
        if (server->voter_old || server->demoted) {
            return false;
        }
        found_voters += server->voter;
    }
    return status->configuration_committed && record->count == status->configuration.count &&
           wanted_voters == found_voters;
}
