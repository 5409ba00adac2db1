/* SPDX-License-Identifier: Apache-2.0 */
/* An operator who changes the members now and then: adds those that wait, as learners that become
 * voters; removes, replaces, demotes; puts a new machine in the place of one that will not start;
 * asks for copies in two regions, and no longer. One change at a time, through the leader. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    AGAIN_US_MIN = 500 * SIM_MS,
    AGAIN_US_MAX = 6000 * SIM_MS,
    VOTERS_MIN = 3,  /* of a member more than this, one can go */
    BEHIND_MAX = 60, /* entries */
};

static struct sim_member *in_office(struct sim *sim);
static bool any_damaged(const struct sim *sim);
static bool wants_change(struct sim *sim, struct raft_configuration *target);
static bool tidy(struct sim *sim, const struct raft_status *status);
static bool draw(struct sim *sim, struct raft_configuration *target);
static bool repair(struct sim *sim, struct raft_configuration *target);
static bool add(struct sim *sim, struct raft_configuration *target);
static void remove_at(struct raft_configuration *target, uint32_t at);
static const struct raft_server *find(const struct raft_configuration *set, struct member_id id);
static uint32_t voters(const struct raft_configuration *set);
static bool is_settled(const struct raft_status *status);

void sim_operator(struct sim *sim)
{
    struct sim_member *leader = in_office(sim);
    struct raft_status status;
    struct raft_update update;

    sim_after(sim,
              prng_between(&sim->faults, AGAIN_US_MIN, AGAIN_US_MAX),
              (struct sim_item){.kind = EV_OPERATOR});
    sim_voices_vouch(sim);
    /* A leader of before the latest change may know less than the operator does. */
    if (leader == NULL || leader->paused || leader->term < sim->change_term) {
        return;
    }
    raft_status(leader->raft, &status);
    struct raft_configuration target = status.configuration;
    if (!leader->elected) {
        /* It commits nothing: too few regions may be left for the rule, which alone is lowered. */
        if (target.rules.commit_regions_min <= 1) {
            return;
        }
        target.rules.commit_regions_min = 0;
    } else if (!is_settled(&status) || tidy(sim, &status) || !wants_change(sim, &target)) {
        return;
    }
    const struct raft_event event = {
        .type = RAFT_EVENT_CHANGE, .now_ms = sim_member_local_ms(sim, leader), .target = &target};
    raft_step(leader->raft, &event, &update);
    sim_trace(sim,
              "operator changes the members: %u, %u of them vote: %s",
              target.count,
              voters(&target),
              raft_change_refusal_text(update.change_refusal));
    if (update.change_refusal == RAFT_CHANGE_OK) {
        sim->changes_count++;
        sim->change_term = update.term;
    }
    sim_member_update(sim, leader, &update);
    sim_member_settle(sim, leader);
}

bool sim_operator_can_lose_one(struct sim *sim)
{
    const struct sim_member *leader = sim_leader(sim);
    struct raft_status status;
    char missing[TEXT_SIZE];

    if (leader == NULL || leader->term < sim->change_term || any_damaged(sim)) {
        return false;
    }
    raft_status(leader->raft, &status);
    return voters(&status.configuration) >= VOTERS_MIN &&
           sim_operator_done(sim, missing, sizeof(missing));
}

bool sim_operator_done(struct sim *sim, char *missing, size_t size)
{
    const struct sim_member *leader = sim_leader(sim);
    struct raft_status status;

    CHECK(leader != NULL);
    raft_status(leader->raft, &status);
    if (!is_settled(&status)) {
        (void)snprintf(missing, size, "a change of members is under way");
        return false;
    }
    for (uint32_t i = 0; i < status.configuration.count; i++) {
        struct member_id id = status.configuration.servers[i].id;
        const struct sim_member *member = &sim->members[sim_node_of(id)];
        if (!member->up || !member_id_equal(member->id, id) ||
            member->applied + BEHIND_MAX < leader->applied) {
            (void)snprintf(missing,
                           size,
                           "member %u is %s, at index %" PRIu64 " of %" PRIu64,
                           member->node,
                           member->up ? "up" : "not up",
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
        if (sim->members[i].rotten || sim->members[i].store.rotten) {
            return true;
        }
    }
    return false;
}

static bool wants_change(struct sim *sim, struct raft_configuration *target)
{
    bool ruled = target->rules.commit_regions_min > 1;
    if (ruled && (any_damaged(sim) || sim->healing)) {
        target->rules.commit_regions_min = 0; /* whoever is left may be in too few regions */
        return true;
    }
    if (repair(sim, target)) {
        return true;
    }
    return !sim->healing && !any_damaged(sim) && draw(sim, target);
}

/* A machine that was removed comes back empty, as somebody new. */
static bool tidy(struct sim *sim, const struct raft_status *status)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct sim_member *member = &sim->members[i];
        bool used = member->founder || member->applied > 0 || member->rotten;
        if (used && find(&status->configuration, member->id) == NULL) {
            sim_member_replace(sim, member);
            return true;
        }
    }
    return false;
}

/* Whoever will not start any more goes. */
static bool repair(struct sim *sim, struct raft_configuration *target)
{
    for (uint32_t i = 0; i < target->count; i++) {
        const struct sim_member *member = &sim->members[sim_node_of(target->servers[i].id)];
        if (member->rotten) {
            remove_at(target, i);
            (void)add(sim, target);
            return true;
        }
    }
    return voters(target) < VOTERS_MIN && add(sim, target);
}

static bool draw(struct sim *sim, struct raft_configuration *target)
{
    uint32_t at = (uint32_t)prng_below(&sim->faults, target->count);
    bool spare_voter = voters(target) > VOTERS_MIN;

    switch (prng_below(&sim->faults, 6)) {
    case 0:
    case 1:
        return add(sim, target);
    case 2:
        if (target->servers[at].voter && !spare_voter) {
            return false;
        }
        remove_at(target, at);
        return true;
    case 3:
        if (target->count <= VOTERS_MIN) {
            return false;
        }
        remove_at(target, at);
        return add(sim, target);
    case 4: {
        struct raft_server *server = &target->servers[at];
        if (server->voter && !spare_voter) {
            return false;
        }
        server->promote = !server->voter;
        server->voter = false;
        return true;
    }
    default:
        target->rules.commit_regions_min = target->rules.commit_regions_min > 1 ? 0 : 2;
        return true;
    }
}

static bool add(struct sim *sim, struct raft_configuration *target)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        const struct sim_member *member = &sim->members[i];
        uint32_t at = target->count;
        if (!member->up || find(target, member->id) != NULL || target->count >= RAFT_SERVERS_MAX) {
            continue;
        }
        while (at > 0 && member_id_compare(target->servers[at - 1].id, member->id) > 0) {
            target->servers[at] = target->servers[at - 1];
            at--;
        }
        target->servers[at] =
            (struct raft_server){.id = member->id, .promote = true, .region = member->region};
        target->count++;
        return true;
    }
    return false;
}

static void remove_at(struct raft_configuration *target, uint32_t at)
{
    target->count--;
    for (uint32_t i = at; i < target->count; i++) {
        target->servers[i] = target->servers[i + 1];
    }
    target->servers[target->count] = (struct raft_server){0};
}

static const struct raft_server *find(const struct raft_configuration *set, struct member_id id)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (member_id_equal(set->servers[i].id, id)) {
            return &set->servers[i];
        }
    }
    return NULL;
}

static uint32_t voters(const struct raft_configuration *set)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        count += set->servers[i].voter;
    }
    return count;
}

static bool is_settled(const struct raft_status *status)
{
    if (!status->configuration_committed) {
        return false;
    }
    for (uint32_t i = 0; i < status->configuration.count; i++) {
        const struct raft_server *server = &status->configuration.servers[i];
        if (server->voter_old || server->demoted) {
            return false;
        }
    }
    return true;
}
