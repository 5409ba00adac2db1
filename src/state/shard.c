/* SPDX-License-Identifier: Apache-2.0 */
/* Creating and freezing shards. */
#include "base/check.h"
#include "model/shard_kind.h"
#include "state/handler.h"

#include <stdio.h>
#include <string.h>

enum {
    SAMPLE_MS = 1000, /* how often lag is looked at */
};

static bool spec_is_valid(struct handler *handler, const struct shard *spec);
static bool spec_regions_exist(struct handler *handler, const struct shard *spec);

/* A primary may go on for a lease after it was last heard; less cannot be promised. */
bool shard_rpo_fits(const struct shard *shard, uint32_t lease_ms)
{
    return shard->mode != SHARD_ASYNC || shard->rpo_ms == 0 ||
           shard->rpo_ms >= lease_ms + SAMPLE_MS;
}

void shard_create(struct handler *handler)
{
    const struct shard *spec = &handler->command->shard_create.spec;
    const struct tables *tables = handler->change->tables;
    if (!spec_is_valid(handler, spec) || !spec_regions_exist(handler, spec)) {
        return;
    }
    if (world_name_get(tables, WORLD_NAME_SHARD, spec->name) != 0) {
        handler_refuse(handler, ERR_EXISTS, "shard '%s' exists already", spec->name);
        return;
    }
    struct world_cluster cluster;
    world_cluster_get(tables, &cluster);
    if (!shard_rpo_fits(spec, cluster.lease_ms)) {
        handler_refuse(
            handler,
            ERR_INVALID,
            "shard '%s': an rpo below %u ms cannot be kept (lease %u ms and one sample); "
            "use 0 for no bound, or a sync shard",
            spec->name,
            cluster.lease_ms + SAMPLE_MS,
            cluster.lease_ms);
        return;
    }
    if (cluster.regions_count == 0) {
        handler_refuse(
            handler, ERR_PRECONDITION, "the cluster is not initialised yet: try again in a moment");
        return;
    }
    if (cluster.shards_count == SHARDS_MAX) {
        handler_refuse(handler, ERR_LIMIT, "a cluster has at most %d shards", SHARDS_MAX);
        return;
    }
    struct shard_view view;
    memset(&view, 0, sizeof(view));
    view.shard.id.value = ++cluster.shards_count;
    (void)snprintf(view.shard.name, sizeof(view.shard.name), "%s", spec->name);
    view.shard.kind = spec->kind;
    view.shard.mode = spec->mode;
    view.shard.rto_ms = spec->rto_ms;
    view.shard.rpo_ms = spec->rpo_ms;
    view.shard.sync_required = spec->sync_required;
    memcpy(view.shard.preferred_region, spec->preferred_region, NAME_SIZE);
    memcpy(view.shard.allowed_regions, spec->allowed_regions, sizeof(spec->allowed_regions));
    view.shard.allowed_regions_count = spec->allowed_regions_count;
    view.shard.timeline_reserved = 1; /* what initdb makes */
    if (spec->mode == SHARD_SYNC) {
        /* Nobody is in the set yet, so nothing can be acknowledged yet: strict from the start. */
        view.shard.sync.pairs_count = 1;
        view.shard.sync.version = 1;
        view.shard.sync.pairs[0].required = 1;
    }
    world_cluster_put(handler->change, &cluster);
    world_name_put(handler->change, WORLD_NAME_SHARD, spec->name, view.shard.id.value);
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = view.shard.id.value;
}

void shard_freeze(struct handler *handler)
{
    const struct command_shard_freeze *body = &handler->command->shard_freeze;
    uint32_t id = world_name_get(handler->change->tables, WORLD_NAME_SHARD, body->name);
    struct shard_view view;
    if (id == 0 || !handler_load_shard(handler, (struct shard_id){id}, &view)) {
        handler_refuse(handler, ERR_NOT_FOUND, "there is no shard '%s'", body->name);
        return;
    }
    view.shard.frozen = body->frozen;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = id;
}

static bool spec_is_valid(struct handler *handler, const struct shard *spec)
{
    if (!name_is_valid(spec->name)) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "shard name '%s': use 1 to 63 of a-z 0-9 . _ -, beginning with a letter or "
                       "digit",
                       spec->name);
        return false;
    }
    if (!shard_kind_is_driven(spec->kind)) {
        handler_refuse(handler,
                       ERR_UNIMPLEMENTED,
                       "kind of a shard: %s is not driven yet, postgres is",
                       shard_kind_name(spec->kind));
        return false;
    }
    if (spec->mode != SHARD_SYNC && spec->mode != SHARD_ASYNC) {
        handler_refuse(handler, ERR_INVALID, "mode of a shard: sync or async");
        return false;
    }
    if (spec->mode == SHARD_SYNC && !shard_kind_has_quorum(spec->kind)) {
        handler_refuse(
            handler,
            ERR_INVALID,
            "mode of a shard: commits of %s wait for no standby, so it can only be async",
            shard_kind_name(spec->kind));
        return false;
    }
    if (spec->mode == SHARD_SYNC &&
        (spec->sync_required < 1 || spec->sync_required > SYNC_SET_MAX)) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "copies of a sync shard: 1 to %d standbys must hold a write",
                       SYNC_SET_MAX);
        return false;
    }
    if (spec->mode == SHARD_SYNC && spec->rpo_ms != 0) {
        handler_refuse(handler, ERR_INVALID, "a sync shard loses nothing: its rpo is 0");
        return false;
    }
    return true;
}

static bool spec_regions_exist(struct handler *handler, const struct shard *spec)
{
    const struct tables *tables = handler->change->tables;
    CHECK(spec->allowed_regions_count <= REGIONS_MAX);
    for (uint32_t i = 0; i < spec->allowed_regions_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(spec->allowed_regions[i], spec->allowed_regions[k]) == 0) {
                handler_refuse(
                    handler, ERR_INVALID, "region '%s' is allowed twice", spec->allowed_regions[i]);
                return false;
            }
        }
        if (world_name_get(tables, WORLD_NAME_REGION, spec->allowed_regions[i]) == 0) {
            handler_refuse(
                handler, ERR_NOT_FOUND, "there is no region '%s'", spec->allowed_regions[i]);
            return false;
        }
    }
    const char *preferred = spec->preferred_region;
    if (preferred[0] == '\0') {
        return true;
    }
    if (world_name_get(tables, WORLD_NAME_REGION, preferred) == 0) {
        handler_refuse(handler, ERR_NOT_FOUND, "there is no region '%s'", preferred);
        return false;
    }
    if (!shard_allows_region(spec, preferred)) {
        handler_refuse(
            handler, ERR_INVALID, "preferred region '%s' is not among the allowed ones", preferred);
        return false;
    }
    return true;
}
