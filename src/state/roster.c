/* SPDX-License-Identifier: Apache-2.0 */
/* Who is a member, where it is reached, what it is wanted to be. The consensus core's configuration
 * follows this, one change after the other (node/membership_plan.h): a record is there
 * before the core knows the member, and stays until no configuration names it, so that addresses
 * are known throughout. An id is used once: a member with an empty disk is a new member (safety.md
 * 6). */
#include "base/check.h"
#include "model/address.h"
#include "state/handler.h"

#include <stdio.h>
#include <string.h>

struct roster {
    struct member items[MEMBERS_MAX];
    uint32_t count;
};

static bool load(struct handler *handler, struct roster *roster_out);
static struct member *named(struct roster *roster, const char *name);
static bool addresses_are_valid(struct handler *handler, const struct member *member);
static bool
is_new(struct handler *handler, const struct roster *roster, const struct member *member);
static bool addresses_are_free(struct handler *handler,
                               const struct roster *roster,
                               const struct member *member);
static bool change_is_lawful(struct handler *handler,
                             const struct roster *roster,
                             const struct member *member,
                             enum member_standing standing);
static bool leaves_regions(struct handler *handler, const struct member *member);
static bool counts_besides(const struct member *member, const char *besides);
static void keep_or_take(char *address, const char *given);
static const char *gone_name(struct member_id id, char *text);

void roster_add(struct handler *handler)
{
    struct member member = handler->command->member_add.member;
    struct roster roster;
    if (!load(handler, &roster) || !is_new(handler, &roster, &member) ||
        !addresses_are_valid(handler, &member) || !addresses_are_free(handler, &roster, &member)) {
        return;
    }
    if (member.standing != MEMBER_VOTER && member.standing != MEMBER_LEARNER) {
        handler_refuse(handler, ERR_INVALID, "a new member is a voter or a learner");
        return;
    }
    if (world_name_get(handler->change->tables, WORLD_NAME_REGION, member.region) == 0) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "there is no region '%s': `indaba region put` makes it",
                       member.region);
        return;
    }
    if (roster.count == MEMBERS_MAX) {
        handler_refuse(handler, ERR_LIMIT, "a cluster has at most %d members", MEMBERS_MAX);
        return;
    }
    member.level = 0;
    world_member_put(handler->change, &member);
}

void roster_change(struct handler *handler)
{
    const struct command_member_change *body = &handler->command->member_change;
    struct roster roster;
    if (!load(handler, &roster)) {
        return;
    }
    struct member *member = named(&roster, body->name);
    if (member == NULL) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "there is no member '%s': `indaba member ls` lists them",
                       body->name);
        return;
    }
    if (!change_is_lawful(handler, &roster, member, body->standing)) {
        return;
    }
    struct member changed = *member;
    changed.standing = body->standing;
    keep_or_take(changed.peer_address, body->peer_address);
    keep_or_take(changed.api_address, body->api_address);
    keep_or_take(changed.ops_address, body->ops_address);
    bool moves = body->peer_address[0] != '\0' || body->api_address[0] != '\0' ||
                 body->ops_address[0] != '\0';
    if (!moves || (addresses_are_valid(handler, &changed) &&
                   addresses_are_free(handler, &roster, &changed))) {
        world_member_put(handler->change, &changed);
    }
}

void roster_gone(struct handler *handler)
{
    struct member_id id = handler->command->member_gone.id;
    struct roster roster;
    if (!load(handler, &roster)) {
        return;
    }
    for (uint32_t i = 0; i < roster.count; i++) {
        if (!member_id_equal(roster.items[i].id, id)) {
            continue;
        }
        if (roster.items[i].standing != MEMBER_LEAVING) {
            handler_refuse(
                handler, ERR_PRECONDITION, "member '%s' is not leaving", roster.items[i].name);
            return;
        }
        char text[ID128_TEXT_SIZE];
        world_member_del(handler->change, id);
        world_name_put(handler->change, WORLD_NAME_GONE, gone_name(id, text), 1);
        return;
    }
    handler_refuse(handler, ERR_NOT_FOUND, "no member has this id");
}

void roster_level(struct handler *handler)
{
    const struct command_member_level *body = &handler->command->member_level;
    struct roster roster;
    if (!load(handler, &roster)) {
        return;
    }
    for (uint32_t i = 0; i < roster.count; i++) {
        if (member_id_equal(roster.items[i].id, body->id)) {
            roster.items[i].level = body->level;
            world_member_put(handler->change, &roster.items[i]);
            return;
        }
    }
    handler_refuse(handler, ERR_NOT_FOUND, "no member has this id");
}

/* It changes nothing: that it was said is kept, as a leaf of the ledger. */
void roster_vouched(struct handler *handler)
{
    const struct command_member_vouched *body = &handler->command->member_vouched;
    struct roster roster;
    if (!load(handler, &roster)) {
        return;
    }
    for (uint32_t i = 0; i < roster.count; i++) {
        if (member_id_equal(roster.items[i].id, body->by)) {
            return;
        }
    }
    handler_refuse(handler, ERR_NOT_FOUND, "no member has this id");
}

uint32_t roster_voter_regions(struct handler *handler, const char *besides)
{
    struct roster roster;
    roster.count = query_members(handler->change->tables, roster.items, MEMBERS_MAX);
    uint32_t regions = 0;
    for (uint32_t i = 0; i < roster.count; i++) {
        bool first = counts_besides(&roster.items[i], besides);
        for (uint32_t k = 0; first && k < i; k++) {
            first = !counts_besides(&roster.items[k], besides) ||
                    strcmp(roster.items[k].region, roster.items[i].region) != 0;
        }
        regions += first;
    }
    return regions;
}

static bool load(struct handler *handler, struct roster *roster_out)
{
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    if (cluster.cluster.hi == 0 && cluster.cluster.lo == 0) {
        handler_refuse(
            handler, ERR_PRECONDITION, "the cluster is not initialised yet: try again in a moment");
        return false;
    }
    roster_out->count = query_members(handler->change->tables, roster_out->items, MEMBERS_MAX);
    CHECK(roster_out->count <= MEMBERS_MAX);
    return true;
}

static struct member *named(struct roster *roster, const char *name)
{
    for (uint32_t i = 0; i < roster->count; i++) {
        if (strcmp(roster->items[i].name, name) == 0) {
            return &roster->items[i];
        }
    }
    return NULL;
}

static bool
is_new(struct handler *handler, const struct roster *roster, const struct member *member)
{
    char text[ID128_TEXT_SIZE];
    if (!name_is_valid(member->name) || member_id_is_none(member->id)) {
        handler_refuse(
            handler, ERR_INVALID, "member '%s' has no valid name or no id", member->name);
        return false;
    }
    for (uint32_t i = 0; i < roster->count; i++) {
        if (member_id_equal(roster->items[i].id, member->id) ||
            strcmp(roster->items[i].name, member->name) == 0) {
            handler_refuse(handler,
                           ERR_EXISTS,
                           "member '%s' is there already, with this name or id: remove it first",
                           roster->items[i].name);
            return false;
        }
    }
    if (world_name_get(handler->change->tables, WORLD_NAME_GONE, gone_name(member->id, text)) !=
        0) {
        handler_refuse(handler,
                       ERR_EXISTS,
                       "the id %s was of a member that has left: a member that comes back takes a "
                       "new id (`indaba member new-id`)",
                       text);
        return false;
    }
    return true;
}

static bool addresses_are_valid(struct handler *handler, const struct member *member)
{
    const char *const addresses[] = {
        member->peer_address, member->api_address, member->ops_address};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        if (!address_is_valid(addresses[i])) {
            handler_refuse(handler,
                           ERR_INVALID,
                           "address '%s' of member '%s': a numeric HOST:PORT is needed",
                           addresses[i],
                           member->name);
            return false;
        }
    }
    return true;
}

static bool addresses_are_free(struct handler *handler,
                               const struct roster *roster,
                               const struct member *member)
{
    const char *where = NULL;
    const char *whose = address_taken(roster->items, roster->count, member, &where);
    if (whose != NULL) {
        handler_refuse(handler,
                       whose == member->name ? ERR_INVALID : ERR_EXISTS,
                       "the address %s of member '%s' is one of member '%s'",
                       where,
                       member->name,
                       whose);
    }
    return whose == NULL;
}

static bool change_is_lawful(struct handler *handler,
                             const struct roster *roster,
                             const struct member *member,
                             enum member_standing standing)
{
    if ((unsigned)standing >= MEMBER_STANDING_COUNT) {
        handler_refuse(handler, ERR_INVALID, "standing of a member: voter, learner or leaving");
        return false;
    }
    uint32_t other_voters = 0;
    for (uint32_t i = 0; i < roster->count; i++) {
        other_voters += roster->items[i].standing == MEMBER_VOTER && &roster->items[i] != member;
    }
    if (standing != MEMBER_VOTER && other_voters == 0) {
        handler_refuse(
            handler, ERR_PRECONDITION, "member '%s' is the last voter: it stays", member->name);
        return false;
    }
    return standing == MEMBER_VOTER || leaves_regions(handler, member);
}

static bool leaves_regions(struct handler *handler, const struct member *member)
{
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    if (cluster.commit_regions > 1 &&
        roster_voter_regions(handler, member->name) < cluster.commit_regions) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "without '%s' voters are in fewer regions than an entry must be durable in: "
                       "lower commit-regions first (`indaba cluster set`)",
                       member->name);
        return false;
    }
    return true;
}

static bool counts_besides(const struct member *member, const char *besides)
{
    return member->standing == MEMBER_VOTER &&
           (besides == NULL || strcmp(member->name, besides) != 0);
}

static void keep_or_take(char *address, const char *given)
{
    if (given[0] != '\0') {
        (void)snprintf(address, ADDRESS_SIZE, "%s", given);
    }
}

static const char *gone_name(struct member_id id, char *text)
{
    return id128_format(id.hi, id.lo, text);
}
