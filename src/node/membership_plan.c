/* SPDX-License-Identifier: Apache-2.0 */
/* See membership_plan.h. */
#include "node/membership_plan.h"

#include "base/check.h"

#include <string.h>

static void put_server(struct raft_configuration *target, const struct raft_server *server);
static bool same(const struct raft_configuration *a, const struct raft_configuration *b);
static const struct raft_server *find(const struct raft_configuration *configuration,
                                      struct member_id id);
static const struct member *recorded(const struct membership_wish *wish, struct member_id id);
static uint32_t region_number(const struct membership_wish *wish, const char *name);
static bool is_spoken_to(const struct raft_status *status, struct member_id id);
static bool is_ready(const struct membership_wish *wish,
                     const struct raft_status *status,
                     const struct raft_peer_status *peer);

void membership_plan(const struct membership_wish *wish,
                     const struct raft_status *status,
                     struct membership_order *order_out)
{
    CHECK(status->role == RAFT_LEADER);
    memset(order_out, 0, sizeof(*order_out));
    bool joint = false;
    for (uint32_t i = 0; i < status->configuration.count; i++) {
        joint = joint || status->configuration.servers[i].voter_old;
    }
    if (wish->rules.commit_regions_min < status->configuration.rules.commit_regions_min) {
        /* By itself and at once: while this rule cannot be met nothing else can commit. */
        order_out->target = status->configuration;
        order_out->target.rules.commit_regions_min = wish->rules.commit_regions_min;
        order_out->step = MEMBERSHIP_CHANGE;
        return;
    }
    if (joint || !status->configuration_committed) {
        order_out->step = MEMBERSHIP_WAIT;
        return;
    }
    membership_target(wish, status, &order_out->target);
    if (!same(&order_out->target, &status->configuration)) {
        order_out->step = MEMBERSHIP_CHANGE;
        return;
    }
    for (uint32_t i = 0; i < wish->members_count; i++) {
        const struct member *member = &wish->members[i];
        if (member->standing == MEMBER_LEAVING &&
            find(&status->configuration, member->id) == NULL) {
            bool told = !is_spoken_to(status, member->id);
            order_out->step = told ? MEMBERSHIP_GONE : MEMBERSHIP_WAIT;
            order_out->member = member->id;
            return;
        }
    }
    order_out->step = MEMBERSHIP_DONE;
}

void membership_target(const struct membership_wish *wish,
                       const struct raft_status *status,
                       struct raft_configuration *target_out)
{
    *target_out = (struct raft_configuration){0};
    const struct raft_configuration *now = &status->configuration;
    for (uint32_t i = 0; i < wish->members_count; i++) {
        const struct member *member = &wish->members[i];
        const struct raft_server *is = find(now, member->id);
        struct raft_server server = {
            .id = member->id,
            /* A server keeps its region for life. */
            .region = is == NULL ? region_number(wish, member->region) : is->region,
        };
        if (member->standing == MEMBER_VOTER) {
            server.voter = is != NULL && is->voter;
            server.promote = !server.voter;
        }
        if (member->standing != MEMBER_LEAVING) {
            put_server(target_out, &server);
        }
    }
    for (uint32_t i = 0; i < now->count; i++) {
        if (recorded(wish, now->servers[i].id) == NULL) {
            struct raft_server server = now->servers[i];
            server.voter_old = false;
            server.demoted = false;
            put_server(target_out, &server);
        }
    }
    target_out->rules = wish->rules;
}

bool membership_prefers(const struct membership_wish *wish,
                        const struct raft_status *status,
                        uint64_t now_ms,
                        struct membership_preference *preference,
                        struct member_id *member_out)
{
    const struct raft_peer_status *best = NULL;
    const struct member *leader = recorded(wish, status->leader);
    bool wanted = wish->leader_region[0] != '\0' && leader != NULL &&
                  strcmp(leader->region, wish->leader_region) != 0;
    for (uint32_t i = 0; wanted && i < status->peers_count; i++) {
        const struct raft_peer_status *peer = &status->peers[i];
        if (!is_ready(wish, status, peer)) {
            continue;
        }
        /* Who has been waited for stays the candidate. */
        if (best == NULL || member_id_equal(peer->id, preference->candidate)) {
            best = peer;
        }
    }
    if (best == NULL) {
        preference->candidate = (struct member_id){0};
        return false;
    }
    if (!member_id_equal(best->id, preference->candidate)) {
        preference->candidate = best->id;
        preference->since_ms = now_ms;
    }
    if (now_ms - preference->since_ms < MEMBERSHIP_PREFER_MS ||
        now_ms < preference->not_before_ms) {
        return false;
    }
    preference->not_before_ms = now_ms + MEMBERSHIP_PREFER_MS;
    *member_out = best->id;
    return true;
}

uint32_t membership_level(const struct member *members, uint32_t count)
{
    uint32_t lowest = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t level = members[i].level == 0 ? 1 : members[i].level;
        lowest = lowest == 0 || level < lowest ? level : lowest;
    }
    return lowest == 0 ? 1 : lowest;
}

/* Ascending by id. */
static void put_server(struct raft_configuration *target, const struct raft_server *server)
{
    CHECK(target->count < RAFT_SERVERS_MAX);
    uint32_t at = target->count;
    while (at > 0 && member_id_compare(target->servers[at - 1].id, server->id) > 0) {
        target->servers[at] = target->servers[at - 1];
        at--;
    }
    target->servers[at] = *server;
    target->count++;
}

static bool same(const struct raft_configuration *a, const struct raft_configuration *b)
{
    if (a->count != b->count || a->rules.heartbeat_ms != b->rules.heartbeat_ms ||
        a->rules.election_ms != b->rules.election_ms ||
        a->rules.commit_regions_min != b->rules.commit_regions_min) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        const struct raft_server *x = &a->servers[i];
        const struct raft_server *y = &b->servers[i];
        if (!member_id_equal(x->id, y->id) || x->voter != y->voter || x->promote != y->promote ||
            x->region != y->region) {
            return false;
        }
    }
    return true;
}

static const struct raft_server *find(const struct raft_configuration *configuration,
                                      struct member_id id)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (member_id_equal(configuration->servers[i].id, id)) {
            return &configuration->servers[i];
        }
    }
    return NULL;
}

static const struct member *recorded(const struct membership_wish *wish, struct member_id id)
{
    for (uint32_t i = 0; i < wish->members_count; i++) {
        if (member_id_equal(wish->members[i].id, id)) {
            return &wish->members[i];
        }
    }
    return NULL;
}

static uint32_t region_number(const struct membership_wish *wish, const char *name)
{
    for (uint32_t i = 0; i < wish->regions_count; i++) {
        if (strcmp(wish->regions[i].name, name) == 0) {
            return wish->regions[i].id.value;
        }
    }
    return 0;
}

/* The core speaks for a while to one that has left, so that it learns of it. */
static bool is_spoken_to(const struct raft_status *status, struct member_id id)
{
    for (uint32_t i = 0; i < status->peers_count; i++) {
        if (member_id_equal(status->peers[i].id, id)) {
            return true;
        }
    }
    return false;
}

static bool is_ready(const struct membership_wish *wish,
                     const struct raft_status *status,
                     const struct raft_peer_status *peer)
{
    const struct member *member = recorded(wish, peer->id);
    return member != NULL && !member_id_equal(peer->id, status->leader) && peer->voter &&
           peer->active && peer->caught_up && member->standing == MEMBER_VOTER &&
           strcmp(member->region, wish->leader_region) == 0;
}
