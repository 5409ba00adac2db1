/* SPDX-License-Identifier: Apache-2.0 */
/* See state/query.h; the ledger's part is in state/ledger.c. */
#include "state/query.h"

#include "base/check.h"
#include "state/change.h"
#include "state/row.h"
#include "state/world.h"

#include <string.h>

struct fill {
    void *rows;
    uint32_t max;
    uint32_t count;
};

static bool add_region(struct slice key, struct slice value, void *ctx);
static bool add_member(struct slice key, struct slice value, void *ctx);

void query_cluster(const struct tables *tables, struct cluster_info *info_out)
{
    struct world_cluster cluster;
    world_cluster_get(tables, &cluster);
    *info_out = (struct cluster_info){
        .cluster = cluster.cluster,
        .lease_ms = cluster.lease_ms,
        .shards_count = cluster.shards_count,
        .failovers_count = cluster.failovers_count,
        .heartbeat_ms = cluster.heartbeat_ms,
        .election_ms = cluster.election_ms,
        .commit_regions = cluster.commit_regions,
        .cluster_epoch = cluster.cluster_epoch,
        .unconfirmed = cluster.unconfirmed,
    };
    memcpy(info_out->leader_region, cluster.leader_region, sizeof(info_out->leader_region));
    memcpy(info_out->name, cluster.name, sizeof(info_out->name));
}

uint32_t query_regions(const struct tables *tables, struct region *regions_out, uint32_t max)
{
    struct fill fill = {.rows = regions_out, .max = max};
    struct state_key from = key_u32(0);
    tables->ops->scan(tables->ctx, TABLE_REGION, key_view(&from), add_region, &fill);
    return fill.count;
}

uint32_t query_members(const struct tables *tables, struct member *members_out, uint32_t max)
{
    struct fill fill = {.rows = members_out, .max = max};
    struct state_key from = key_u64_u64(0, 0);
    tables->ops->scan(tables->ctx, TABLE_MEMBER, key_view(&from), add_member, &fill);
    return fill.count;
}

bool query_member_is_gone(const struct tables *tables, struct member_id id)
{
    char text[ID128_TEXT_SIZE];
    return world_name_get(tables, WORLD_NAME_GONE, id128_format(id.hi, id.lo, text)) != 0;
}

enum error query_shard(const struct tables *tables, struct shard_id id, struct shard_view *view_out)
{
    return world_shard_get(tables, id, view_out);
}

enum error
query_shard_by_name(const struct tables *tables, const char *name, struct shard_view *view_out)
{
    if (!name_is_valid(name)) {
        return ERR_NOT_FOUND;
    }
    uint32_t id = world_name_get(tables, WORLD_NAME_SHARD, name);
    if (id == 0) {
        return ERR_NOT_FOUND;
    }
    return world_shard_get(tables, (struct shard_id){id}, view_out);
}

enum error query_failover(const struct tables *tables, uint64_t id, struct failover *failover_out)
{
    struct state_key key = key_u64(id);
    struct slice value;
    TRY(tables_get(tables, TABLE_FAILOVER, key_view(&key), &value));
    row_get_failover(value, failover_out);
    return ERR_OK;
}

static bool add_region(struct slice key, struct slice value, void *ctx)
{
    struct fill *fill = ctx;
    struct region *regions = fill->rows;
    CHECK(key.len == sizeof(uint32_t));
    if (fill->count < fill->max) {
        row_get_region(value, &regions[fill->count]);
    }
    fill->count++;
    return true;
}

static bool add_member(struct slice key, struct slice value, void *ctx)
{
    struct fill *fill = ctx;
    struct member *members = fill->rows;
    CHECK(key.len == 2 * sizeof(uint64_t));
    if (fill->count < fill->max) {
        row_get_member(value, &members[fill->count]);
    }
    fill->count++;
    return true;
}
