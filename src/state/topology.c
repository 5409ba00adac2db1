/* SPDX-License-Identifier: Apache-2.0 */
/* Regions and members. */
#include "base/check.h"
#include "state/handler.h"

#include <string.h>

static bool region_is_listed(const struct command_cluster_init *body, const char *name)
{
    for (uint32_t i = 0; i < body->regions_count; i++) {
        if (strcmp(body->regions[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool members_are_valid(struct handler *handler, const struct command_cluster_init *body)
{
    for (uint32_t i = 0; i < body->members_count; i++) {
        const struct member *member = &body->members[i];
        if (!name_is_valid(member->name) || member_id_is_none(member->id)) {
            handler_refuse(
                handler, ERR_INVALID, "member '%s' has no valid name or no id", member->name);
            return false;
        }
        if (!region_is_listed(body, member->region)) {
            handler_refuse(handler,
                           ERR_NOT_FOUND,
                           "member '%s' is in region '%s', which is not listed",
                           member->name,
                           member->region);
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (member_id_equal(member->id, body->members[k].id) ||
                strcmp(member->name, body->members[k].name) == 0) {
                handler_refuse(handler, ERR_EXISTS, "member '%s' is listed twice", member->name);
                return false;
            }
        }
    }
    return true;
}

/* A jurisdiction is any text, "" if unstated; states come from outside as numbers. */
static bool region_is_valid(struct handler *handler, const struct region *region)
{
    if (!name_is_valid(region->name)) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "region name '%s': use 1 to 63 of a-z 0-9 . _ -, beginning with a letter or "
                       "digit",
                       region->name);
        return false;
    }
    if ((unsigned)region->state > REGION_MAINTENANCE) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "state of region '%s': active, draining or maintenance",
                       region->name);
        return false;
    }
    return true;
}

static bool init_is_valid(struct handler *handler, const struct command_cluster_init *body)
{
    if (body->cluster.hi == 0 && body->cluster.lo == 0) {
        handler_refuse(handler, ERR_INVALID, "cluster.init without a cluster id");
        return false;
    }
    CHECK(body->regions_count <= REGIONS_MAX && body->members_count <= MEMBERS_MAX);
    if (body->regions_count == 0 || body->members_count == 0 || body->lease_ms == 0) {
        handler_refuse(handler, ERR_INVALID, "cluster.init needs regions, members and a lease");
        return false;
    }
    for (uint32_t i = 0; i < body->regions_count; i++) {
        if (!region_is_valid(handler, &body->regions[i])) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(body->regions[i].name, body->regions[k].name) == 0) {
                handler_refuse(
                    handler, ERR_EXISTS, "region '%s' is listed twice", body->regions[i].name);
                return false;
            }
        }
    }
    return members_are_valid(handler, body);
}

void topology_init(struct handler *handler)
{
    const struct command_cluster_init *body = &handler->command->cluster_init;
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    if (cluster.cluster.hi != 0 || cluster.cluster.lo != 0) {
        handler_refuse(handler, ERR_EXISTS, "the cluster is already initialised");
        return;
    }
    if (!init_is_valid(handler, body)) {
        return;
    }
    for (uint32_t i = 0; i < body->regions_count; i++) {
        struct region region = body->regions[i];
        region.id.value = i + 1;
        world_region_put(handler->change, &region);
        world_name_put(handler->change, WORLD_NAME_REGION, region.name, region.id.value);
    }
    for (uint32_t i = 0; i < body->members_count; i++) {
        world_member_put(handler->change, &body->members[i]);
    }
    cluster.cluster = body->cluster;
    memcpy(cluster.name, body->name, sizeof(cluster.name));
    cluster.lease_ms = body->lease_ms;
    cluster.regions_count = body->regions_count;
    world_cluster_put(handler->change, &cluster);
}

void topology_region_put(struct handler *handler)
{
    struct region region = handler->command->region_put.region;
    if (!region_is_valid(handler, &region)) {
        return;
    }
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    if (cluster.cluster.hi == 0 && cluster.cluster.lo == 0) {
        handler_refuse(
            handler, ERR_PRECONDITION, "the cluster is not initialised yet: try again in a moment");
        return;
    }
    uint32_t id = world_name_get(handler->change->tables, WORLD_NAME_REGION, region.name);
    if (id == 0) {
        if (cluster.regions_count == REGIONS_MAX) {
            handler_refuse(handler, ERR_LIMIT, "a cluster has at most %d regions", REGIONS_MAX);
            return;
        }
        id = ++cluster.regions_count;
        world_cluster_put(handler->change, &cluster);
        world_name_put(handler->change, WORLD_NAME_REGION, region.name, id);
    }
    region.id.value = id;
    world_region_put(handler->change, &region);
    handler->result->id = id;
}
