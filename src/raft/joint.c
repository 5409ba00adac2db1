/* SPDX-License-Identifier: Apache-2.0 */
/* The law of changes, and the arithmetic of sets. Both lists ascend by id, so unions are merges. */
#include "raft/joint.h"

#include "base/check.h"
#include "raft/membership.h"
#include "raft/quorum.h"

static enum raft_change_refusal check_shape(const struct raft_configuration *target);
static enum raft_change_refusal check_servers(const struct raft_configuration *now,
                                              const struct raft_configuration *target,
                                              const bool *ready,
                                              struct member_id *refused_out);
static enum raft_change_refusal check_regions(const struct raft_configuration *target,
                                              struct member_id *refused_out);
static enum raft_change_refusal check_heard(const struct raft_configuration *now,
                                            const struct raft_configuration *target,
                                            const bool *heard,
                                            struct member_id *refused_out);
static uint32_t union_count(const struct raft_configuration *a, const struct raft_configuration *b);
static bool same_voters(const struct raft_configuration *now,
                        const struct raft_configuration *target);
static bool is_same(const struct raft_configuration *a, const struct raft_configuration *b);

enum raft_change_refusal joint_check(const struct raft_configuration *now,
                                     const struct raft_configuration *target,
                                     const struct joint_known *known,
                                     struct member_id *refused_out)
{
    CHECK(!membership_is_joint(now));
    *refused_out = (struct member_id){0};
    enum raft_change_refusal refusal = check_shape(target);
    if (refusal == RAFT_CHANGE_OK && union_count(now, target) > RAFT_SERVERS_MAX) {
        refusal = RAFT_CHANGE_TOO_MANY;
    }
    if (refusal == RAFT_CHANGE_OK) {
        refusal = check_servers(now, target, known->ready, refused_out);
    }
    if (refusal == RAFT_CHANGE_OK) {
        refusal = check_regions(target, refused_out);
    }
    if (refusal == RAFT_CHANGE_OK && is_same(now, target)) {
        refusal = RAFT_CHANGE_NOTHING;
    }
    if (refusal == RAFT_CHANGE_OK) {
        refusal = check_heard(now, target, known->heard, refused_out);
    }
    return refusal;
}

bool joint_is_relief(const struct raft_configuration *now, const struct raft_configuration *target)
{
    if (target->count > RAFT_SERVERS_MAX || now->count != target->count ||
        target->rules.commit_regions_min >= now->rules.commit_regions_min) {
        return false;
    }
    struct raft_configuration relieved = *now;
    relieved.rules.commit_regions_min = target->rules.commit_regions_min;
    return is_same(&relieved, target);
}

void joint_begin(const struct raft_configuration *now,
                 const struct raft_configuration *target,
                 struct raft_configuration *first_out)
{
    *first_out = *target;
    if (same_voters(now, target)) {
        return;
    }
    /* Learners that leave are gone at once: nothing was ever asked of them. */
    first_out->count = 0;
    uint32_t i = 0;
    for (uint32_t j = 0; i < now->count || j < target->count;) {
        const struct raft_server *old = i < now->count ? &now->servers[i] : NULL;
        const struct raft_server *new = j < target->count ? &target->servers[j] : NULL;
        int order = old == NULL ? 1 : new == NULL ? -1 : member_id_compare(old->id, new->id);
        struct raft_server server = order < 0 ? *old : *new;
        server.voter = order >= 0 && new->voter;
        server.voter_old = order <= 0 && old->voter;
        server.demoted = order == 0 && old->voter && !new->voter;
        server.promote = order >= 0 && new->promote && !server.voter_old;
        if (server.voter || server.voter_old || order >= 0) {
            CHECK(first_out->count < RAFT_SERVERS_MAX);
            first_out->servers[first_out->count++] = server;
        }
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
    CHECK(membership_is_joint(first_out));
    CHECK(membership_validate(first_out) == ERR_OK);
}

void joint_leave(const struct raft_configuration *joint, struct raft_configuration *left_out)
{
    CHECK(membership_is_joint(joint));
    *left_out = (struct raft_configuration){.rules = joint->rules};
    for (uint32_t i = 0; i < joint->count; i++) {
        struct raft_server server = joint->servers[i];
        if (server.voter_old && !server.voter && !server.demoted) {
            continue;
        }
        server.voter_old = false;
        server.demoted = false;
        left_out->servers[left_out->count++] = server;
    }
    CHECK(membership_validate(left_out) == ERR_OK);
    CHECK(!membership_is_joint(left_out));
}

const char *raft_change_refusal_text(enum raft_change_refusal refusal)
{
    switch (refusal) {
    case RAFT_CHANGE_OK:
        return "the change is accepted";
    case RAFT_CHANGE_NOT_LEADER:
        return "this member is not the leader; ask the leader";
    case RAFT_CHANGE_HANDING_OVER:
        return "leadership is being handed over; try again in a moment";
    case RAFT_CHANGE_TOO_EARLY:
        return "the leader is new and has not committed an entry of its term yet; try again in a "
               "moment, or see why no majority answers";
    case RAFT_CHANGE_UNDER_WAY:
        return "another change of the members has not ended; wait until it has";
    case RAFT_CHANGE_INVALID:
        return "the wanted configuration is not well formed";
    case RAFT_CHANGE_NO_VOTER:
        return "the wanted configuration has no voter";
    case RAFT_CHANGE_TOO_MANY:
        return "old and new members together would be too many; remove some first";
    case RAFT_CHANGE_NOT_CAUGHT_UP:
        return "a new voter must first be a learner that has caught up; add it as a learner, or "
               "with promotion, and wait";
    case RAFT_CHANGE_REGION_MOVED:
        return "a member cannot change its region; remove it and add a new one";
    case RAFT_CHANGE_REGION_UNKNOWN:
        return "a rule of regions needs the region of each voter";
    case RAFT_CHANGE_TOO_FEW_REGIONS:
        return "the voters are in fewer regions than each commit would need";
    case RAFT_CHANGE_BAD_TIMERS:
        return "the election timeout must be at least three heartbeats and at most ten minutes, "
               "and a heartbeat at least 5 ms";
    case RAFT_CHANGE_NOTHING:
        return "nothing would change";
    case RAFT_CHANGE_UNHEARD:
        return "those that answer would be no majority of the voters, or in too few regions, and "
               "nothing could be decided any more: start the others, or remove those first";
    case RAFT_CHANGE_PROVING:
        return "the disks of the members that it needs are being asked; try again in a moment";
    case RAFT_CHANGE_UNPROVEN:
        return "a member that it needs answers, and makes nothing durable (does its disk hang?): "
               "it waits. Mend or remove that one, or take this back (`indaba member promote`, or "
               "`demote`)";
    }
    UNREACHABLE("a refusal that is not in its enum");
}

static enum raft_change_refusal check_shape(const struct raft_configuration *target)
{
    if (target->count > RAFT_SERVERS_MAX) {
        return RAFT_CHANGE_TOO_MANY;
    }
    if (!membership_timers_are_valid(&target->rules)) {
        return RAFT_CHANGE_BAD_TIMERS;
    }
    bool has_voter = false;
    for (uint32_t i = 0; i < target->count; i++) {
        has_voter = has_voter || target->servers[i].voter;
        if (target->servers[i].voter_old || target->servers[i].demoted) {
            return RAFT_CHANGE_INVALID;
        }
    }
    if (!has_voter) {
        return RAFT_CHANGE_NO_VOTER;
    }
    return membership_validate(target) == ERR_OK ? RAFT_CHANGE_OK : RAFT_CHANGE_INVALID;
}

static enum raft_change_refusal check_servers(const struct raft_configuration *now,
                                              const struct raft_configuration *target,
                                              const bool *ready,
                                              struct member_id *refused_out)
{
    for (uint32_t i = 0; i < target->count; i++) {
        const struct raft_server *server = &target->servers[i];
        const struct raft_server *known = membership_find(now, server->id);
        *refused_out = server->id;
        if (known != NULL && known->region != server->region && known->region != 0) {
            return RAFT_CHANGE_REGION_MOVED;
        }
        if (server->voter && (known == NULL || (!known->voter && !ready[known - now->servers]))) {
            return RAFT_CHANGE_NOT_CAUGHT_UP;
        }
    }
    *refused_out = (struct member_id){0};
    return RAFT_CHANGE_OK;
}

static enum raft_change_refusal check_regions(const struct raft_configuration *target,
                                              struct member_id *refused_out)
{
    if (target->rules.commit_regions_min <= 1) {
        return RAFT_CHANGE_OK;
    }
    for (uint32_t i = 0; i < target->count; i++) {
        bool votes = target->servers[i].voter || target->servers[i].promote;
        if (votes && target->servers[i].region == 0) {
            *refused_out = target->servers[i].id;
            return RAFT_CHANGE_REGION_UNKNOWN;
        }
    }
    return quorum_regions(target) < target->rules.commit_regions_min ? RAFT_CHANGE_TOO_FEW_REGIONS
                                                                     : RAFT_CHANGE_OK;
}

/* Of the first step, whose majorities are those of both sets; the second has the new one alone. */
static enum raft_change_refusal check_heard(const struct raft_configuration *now,
                                            const struct raft_configuration *target,
                                            const bool *heard,
                                            struct member_id *refused_out)
{
    struct raft_configuration first;
    joint_begin(now, target, &first);
    uint64_t values[RAFT_SERVERS_MAX] = {0};
    struct member_id silent = {0};
    for (uint32_t i = 0; i < first.count; i++) {
        const struct raft_server *server = &first.servers[i];
        const struct raft_server *known = membership_find(now, server->id);
        values[i] = known != NULL && heard[known - now->servers] ? 1 : 0;
        if (values[i] == 0 && (server->voter || server->voter_old)) {
            silent = server->id;
        }
    }
    if (quorum_commit(&first, values) > 0) {
        return RAFT_CHANGE_OK;
    }
    *refused_out = silent;
    return RAFT_CHANGE_UNHEARD;
}

static uint32_t union_count(const struct raft_configuration *a, const struct raft_configuration *b)
{
    uint32_t count = a->count;
    for (uint32_t i = 0; i < b->count; i++) {
        count += membership_find(a, b->servers[i].id) == NULL ? 1 : 0;
    }
    return count;
}

static bool same_voters(const struct raft_configuration *now,
                        const struct raft_configuration *target)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct raft_server *server = membership_find(target, now->servers[i].id);
        if (now->servers[i].voter && (server == NULL || !server->voter)) {
            return false;
        }
        voters += now->servers[i].voter ? 1 : 0;
    }
    for (uint32_t i = 0; i < target->count; i++) {
        voters -= target->servers[i].voter ? 1 : 0;
    }
    return voters == 0;
}

static bool is_same(const struct raft_configuration *a, const struct raft_configuration *b)
{
    if (a->count != b->count || a->rules.heartbeat_ms != b->rules.heartbeat_ms ||
        a->rules.election_ms != b->rules.election_ms ||
        a->rules.commit_regions_min != b->rules.commit_regions_min) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        const struct raft_server *one = &a->servers[i];
        const struct raft_server *other = &b->servers[i];
        if (!member_id_equal(one->id, other->id) || one->voter != other->voter ||
            one->voter_old != other->voter_old || one->promote != other->promote ||
            one->demoted != other->demoted || one->region != other->region) {
            return false;
        }
    }
    return true;
}
