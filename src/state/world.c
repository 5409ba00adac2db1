/* SPDX-License-Identifier: Apache-2.0 */
/* See state/world.h. */
#include "state/world.h"

#include "base/check.h"
#include "state/row.h"

#include <string.h>

static const char CLUSTER_KEY[] = "cluster";

static void check_office(const struct shard_view *view);
static void check_sync(const struct shard_view *view);
static void check_history(const struct shard *shard);
static void check_step(const struct shard_view *view);

static struct slice name_key(enum world_name_kind kind, const char *name, uint8_t *key, size_t size)
{
    size_t len = strlen(name);
    CHECK(len + 1 <= size);
    key[0] = (uint8_t)kind;
    memcpy(key + 1, name, len);
    return slice_of(key, len + 1);
}

void world_cluster_get(const struct tables *tables, struct world_cluster *cluster_out)
{
    struct slice value;
    memset(cluster_out, 0, sizeof(*cluster_out));
    if (tables_get(tables, TABLE_META, slice_of_string(CLUSTER_KEY), &value) != ERR_OK) {
        return;
    }
    struct reader reader = reader_of(value);
    uint8_t version = reader_u8(&reader);
    CHECK(version == ROW_VERSION);
    cluster_out->cluster.hi = reader_u64(&reader);
    cluster_out->cluster.lo = reader_u64(&reader);
    reader_string(&reader, cluster_out->name, sizeof(cluster_out->name));
    cluster_out->lease_ms = reader_u32(&reader);
    cluster_out->regions_count = reader_u32(&reader);
    cluster_out->shards_count = reader_u32(&reader);
    cluster_out->instances_count = reader_u32(&reader);
    cluster_out->failovers_count = reader_u64(&reader);
    cluster_out->heartbeat_ms = reader_u32(&reader);
    cluster_out->election_ms = reader_u32(&reader);
    cluster_out->commit_regions = reader_u32(&reader);
    reader_string(&reader, cluster_out->leader_region, sizeof(cluster_out->leader_region));
    cluster_out->cluster_epoch = reader_u32(&reader);
    cluster_out->unconfirmed = reader_u8(&reader) != 0;
    CHECK(reader_finish(&reader) == ERR_OK);
}

void world_cluster_put(struct change *change, const struct world_cluster *cluster)
{
    struct buf value = {0};
    buf_put_u8(&value, ROW_VERSION);
    buf_put_u64(&value, cluster->cluster.hi);
    buf_put_u64(&value, cluster->cluster.lo);
    buf_put_string(&value, cluster->name);
    buf_put_u32(&value, cluster->lease_ms);
    buf_put_u32(&value, cluster->regions_count);
    buf_put_u32(&value, cluster->shards_count);
    buf_put_u32(&value, cluster->instances_count);
    buf_put_u64(&value, cluster->failovers_count);
    buf_put_u32(&value, cluster->heartbeat_ms);
    buf_put_u32(&value, cluster->election_ms);
    buf_put_u32(&value, cluster->commit_regions);
    buf_put_string(&value, cluster->leader_region);
    buf_put_u32(&value, cluster->cluster_epoch);
    buf_put_u8(&value, cluster->unconfirmed ? 1 : 0);
    change_put(change, TABLE_META, slice_of_string(CLUSTER_KEY), &value);
    buf_deinit(&value);
}

uint32_t world_name_get(const struct tables *tables, enum world_name_kind kind, const char *name)
{
    uint8_t key[TABLE_KEY_MAX];
    struct slice value;
    if (tables_get(tables, TABLE_NAME, name_key(kind, name, key, sizeof(key)), &value) != ERR_OK) {
        return 0;
    }
    struct reader reader = reader_of(value);
    uint32_t id = reader_u32(&reader);
    CHECK(reader_finish(&reader) == ERR_OK);
    CHECK(id != 0);
    return id;
}

void world_name_put(struct change *change, enum world_name_kind kind, const char *name, uint32_t id)
{
    CHECK(id != 0);
    uint8_t key[TABLE_KEY_MAX];
    struct buf value = {0};
    buf_put_u32(&value, id);
    change_put(change, TABLE_NAME, name_key(kind, name, key, sizeof(key)), &value);
    buf_deinit(&value);
}

void world_name_del(struct change *change, enum world_name_kind kind, const char *name)
{
    uint8_t key[TABLE_KEY_MAX];
    change_del(change, TABLE_NAME, name_key(kind, name, key, sizeof(key)));
}

void world_region_put(struct change *change, const struct region *region)
{
    CHECK(region->id.value != 0);
    struct state_key key = key_u32(region->id.value);
    struct buf value = {0};
    row_put_region(&value, region);
    change_put(change, TABLE_REGION, key_view(&key), &value);
    buf_deinit(&value);
}

void world_member_put(struct change *change, const struct member *member)
{
    CHECK(!member_id_is_none(member->id));
    struct state_key key = key_u64_u64(member->id.hi, member->id.lo);
    struct buf value = {0};
    row_put_member(&value, member);
    change_put(change, TABLE_MEMBER, key_view(&key), &value);
    buf_deinit(&value);
}

void world_member_del(struct change *change, struct member_id id)
{
    struct state_key key = key_u64_u64(id.hi, id.lo);
    change_del(change, TABLE_MEMBER, key_view(&key));
}

enum error
world_shard_get(const struct tables *tables, struct shard_id id, struct shard_view *view_out)
{
    struct state_key key = key_u32(id.value);
    struct slice value;
    TRY(tables_get(tables, TABLE_SHARD, key_view(&key), &value));
    struct shard_row row;
    row_get_shard(value, &row);
    CHECK(row.shard.id.value == id.value);
    memset(view_out, 0, sizeof(*view_out));
    view_out->shard = row.shard;
    view_out->instances_count = row.instances_count;
    for (uint32_t i = 0; i < row.instances_count; i++) {
        key = key_u32(row.instances[i].value);
        enum error error = tables_get(tables, TABLE_INSTANCE, key_view(&key), &value);
        CHECK(error == ERR_OK);
        row_get_instance(value, &view_out->instances[i]);
    }
    if (row.failover_id != 0) {
        key = key_u64(row.failover_id);
        enum error error = tables_get(tables, TABLE_FAILOVER, key_view(&key), &value);
        CHECK(error == ERR_OK);
        row_get_failover(value, &view_out->failover);
    }
    return ERR_OK;
}

void world_shard_put(struct change *change, struct shard_view *view)
{
    view->shard.changed_index = change->index;
    world_shard_check(view);
    struct shard_row row = {
        .shard = view->shard,
        .failover_id = view->failover.id,
        .instances_count = view->instances_count,
    };
    struct buf value = {0};
    for (uint32_t i = 0; i < view->instances_count; i++) {
        row.instances[i] = view->instances[i].id;
        struct state_key key = key_u32(view->instances[i].id.value);
        buf_clear(&value);
        row_put_instance(&value, &view->instances[i]);
        change_put(change, TABLE_INSTANCE, key_view(&key), &value);
    }
    if (view->failover.id != 0) {
        struct state_key key = key_u64(view->failover.id);
        buf_clear(&value);
        row_put_failover(&value, &view->failover);
        change_put(change, TABLE_FAILOVER, key_view(&key), &value);
    }
    struct state_key key = key_u32(view->shard.id.value);
    buf_clear(&value);
    row_put_shard(&value, &row);
    change_put(change, TABLE_SHARD, key_view(&key), &value);
    buf_deinit(&value);
}

void world_shard_check(const struct shard_view *view)
{
    const struct shard *shard = &view->shard;
    check_office(view);
    check_sync(view);
    check_history(shard);
    if (view->failover.id == 0) {
        CHECK(shard->epoch.value == 0);
        return;
    }
    CHECK(view->failover.shard.value == shard->id.value);
    CHECK(view->failover.epoch.value == shard->epoch.value);
    check_step(view);
}

static void check_office(const struct shard_view *view)
{
    const struct shard *shard = &view->shard;
    CHECK(shard->id.value != 0);
    CHECK(shard->primary_epoch.value <= shard->epoch.value);
    CHECK((shard->primary.value == 0) == (shard->primary_epoch.value == 0));
    CHECK(shard->primary.value == 0 || shard_view_instance(view, shard->primary) != NULL);
    CHECK(shard->lease == LEASE_NONE || shard->primary.value != 0);
    CHECK(!shard->opened || shard->lease == LEASE_OPEN);
}

/* The primary confirms nothing to itself; old data folders of known instances may stay named. */
static void check_sync(const struct shard_view *view)
{
    const struct sync_record *sync = &view->shard.sync;
    CHECK(sync_record_validate(sync) == ERR_OK);
    CHECK((view->shard.mode == SHARD_SYNC) == (sync->pairs_count > 0));
    for (uint32_t i = 0; i < sync->pairs_count; i++) {
        for (uint32_t k = 0; k < sync->pairs[i].members_count; k++) {
            struct instance_id member = sync->pairs[i].members[k].instance;
            CHECK(member.value != view->shard.primary.value);
            CHECK(shard_view_instance(view, member) != NULL);
        }
    }
}

static void check_history(const struct shard *shard)
{
    CHECK(shard->floor.timeline <= shard->timeline_reserved);
    CHECK(shard->branch_timeline <= shard->timeline_reserved);
    for (uint32_t i = 1; i < shard->forks_count; i++) {
        CHECK(shard->forks[i].timeline > shard->forks[i - 1].timeline);
        CHECK(shard->forks[i].epoch > shard->forks[i - 1].epoch);
    }
    if (shard->forks_count > 0) {
        CHECK(shard->forks[shard->forks_count - 1].timeline <= shard->timeline_reserved);
    }
}

static void check_step(const struct shard_view *view)
{
    const struct shard *shard = &view->shard;
    const struct failover *failover = &view->failover;
    switch (failover->step) {
    case FAILOVER_EXCLUDE:
    case FAILOVER_COMPLETE:
    case FAILOVER_DECIDE:
        /* Between begin and decided nobody may renew. */
        CHECK(shard->lease != LEASE_OPEN);
        CHECK(!shard->opened);
        break;
    case FAILOVER_PROMOTE:
    case FAILOVER_OPEN:
        CHECK(shard->primary.value == failover->candidate.value);
        CHECK(shard->primary_epoch.value == shard->epoch.value);
        CHECK(shard->lease == LEASE_OPEN);
        CHECK(!shard->opened);
        break;
    case FAILOVER_DONE:
        CHECK(shard->opened);
        CHECK(shard->lease == LEASE_OPEN);
        CHECK(shard->primary_incarnation.value != 0);
        CHECK(shard->forks_count > 0);
        CHECK(shard->floor.timeline == shard->forks[shard->forks_count - 1].timeline);
        break;
    case FAILOVER_NONE:
    case FAILOVER_ABORTED:
    case FAILOVER_STEP_COUNT:
        UNREACHABLE("a shard's last failover has one of the steps above");
    }
}
