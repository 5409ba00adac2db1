/* SPDX-License-Identifier: Apache-2.0 */
/* See state/row.h. Each put has its get below it, field by field in the same order. */
#include "state/row_internal.h"

#include "base/buf.h"
#include "base/check.h"

#include <string.h>

static void put_sync(struct buf *buf, const struct sync_record *sync);
static void get_sync(struct reader *reader, struct sync_record *sync);
static void put_shard_spec(struct buf *buf, const struct shard *shard);
static void get_shard_spec(struct reader *reader, struct shard *shard);
static void put_shard_state(struct buf *buf, const struct shard *shard);
static void get_shard_state(struct reader *reader, struct shard *shard);

void row_put_region(struct buf *buf, const struct region *region)
{
    buf_put_u8(buf, ROW_VERSION);
    buf_put_u32(buf, region->id.value);
    buf_put_string(buf, region->name);
    buf_put_string(buf, region->jurisdiction);
    buf_put_u32(buf, region->rank);
    buf_put_u8(buf, (uint8_t)region->state);
}

void row_get_region(struct slice bytes, struct region *region_out)
{
    struct reader reader = row_open(bytes, ROW_VERSION);
    memset(region_out, 0, sizeof(*region_out));
    region_out->id.value = reader_u32(&reader);
    reader_string(&reader, region_out->name, sizeof(region_out->name));
    reader_string(&reader, region_out->jurisdiction, sizeof(region_out->jurisdiction));
    region_out->rank = reader_u32(&reader);
    region_out->state = (enum region_state)reader_u8(&reader);
    row_close(&reader);
}

void row_put_member(struct buf *buf, const struct member *member)
{
    buf_put_u8(buf, ROW_VERSION);
    buf_put_u64(buf, member->id.hi);
    buf_put_u64(buf, member->id.lo);
    buf_put_string(buf, member->name);
    buf_put_string(buf, member->region);
    buf_put_string(buf, member->peer_address);
    buf_put_string(buf, member->api_address);
    buf_put_string(buf, member->ops_address);
    buf_put_u8(buf, (uint8_t)member->standing);
    buf_put_u32(buf, member->level);
}

void row_get_member(struct slice bytes, struct member *member_out)
{
    struct reader reader = row_open(bytes, ROW_VERSION);
    memset(member_out, 0, sizeof(*member_out));
    member_out->id.hi = reader_u64(&reader);
    member_out->id.lo = reader_u64(&reader);
    reader_string(&reader, member_out->name, sizeof(member_out->name));
    reader_string(&reader, member_out->region, sizeof(member_out->region));
    reader_string(&reader, member_out->peer_address, sizeof(member_out->peer_address));
    reader_string(&reader, member_out->api_address, sizeof(member_out->api_address));
    reader_string(&reader, member_out->ops_address, sizeof(member_out->ops_address));
    member_out->standing = (enum member_standing)reader_u8(&reader);
    member_out->level = reader_u32(&reader);
    row_close(&reader);
}

void row_put_shard(struct buf *buf, const struct shard_row *row)
{
    CHECK(row->instances_count <= SHARD_INSTANCES_MAX);
    buf_put_u8(buf, ROW_VERSION_BRANCH);
    put_shard_spec(buf, &row->shard);
    put_shard_state(buf, &row->shard);
    buf_put_u64(buf, row->failover_id);
    buf_put_u32(buf, row->instances_count);
    for (uint32_t i = 0; i < row->instances_count; i++) {
        buf_put_u32(buf, row->instances[i].value);
    }
    buf_put_u64(buf, row->shard.primary_nonce);
    buf_put_string(buf, row->shard.lapse);
    buf_put_u64(buf, row->shard.lapse_wall_ms);
    buf_put_u32(buf, row->shard.branch_timeline);
}

void row_get_shard(struct slice bytes, struct shard_row *row_out)
{
    struct reader reader = row_open(bytes, ROW_VERSION_BRANCH);
    memset(row_out, 0, sizeof(*row_out));
    get_shard_spec(&reader, &row_out->shard);
    get_shard_state(&reader, &row_out->shard);
    row_out->failover_id = reader_u64(&reader);
    row_out->instances_count = get_count(&reader, SHARD_INSTANCES_MAX);
    for (uint32_t i = 0; i < row_out->instances_count; i++) {
        row_out->instances[i].value = reader_u32(&reader);
    }
    if (bytes.data[0] >= ROW_VERSION_MARKS) {
        row_out->shard.primary_nonce = reader_u64(&reader);
    }
    if (bytes.data[0] >= ROW_VERSION_LAPSE) {
        reader_string(&reader, row_out->shard.lapse, sizeof(row_out->shard.lapse));
        row_out->shard.lapse_wall_ms = reader_u64(&reader);
    }
    if (bytes.data[0] >= ROW_VERSION_BRANCH) {
        row_out->shard.branch_timeline = reader_u32(&reader);
    }
    row_close(&reader);
}

void row_put_instance(struct buf *buf, const struct instance *instance)
{
    buf_put_u8(buf, ROW_VERSION_TRIED);
    buf_put_u32(buf, instance->id.value);
    buf_put_u32(buf, instance->shard.value);
    buf_put_string(buf, instance->name);
    buf_put_string(buf, instance->region);
    buf_put_string(buf, instance->address);
    buf_put_string(buf, instance->http_address);
    buf_put_u64(buf, instance->incarnation.value);
    buf_put_u32(buf, instance->promotions_failed);
    buf_put_string(buf, instance->promotion_trouble);
}

void row_get_instance(struct slice bytes, struct instance *instance_out)
{
    struct reader reader = row_open(bytes, ROW_VERSION_TRIED);
    memset(instance_out, 0, sizeof(*instance_out));
    instance_out->id.value = reader_u32(&reader);
    instance_out->shard.value = reader_u32(&reader);
    reader_string(&reader, instance_out->name, sizeof(instance_out->name));
    reader_string(&reader, instance_out->region, sizeof(instance_out->region));
    reader_string(&reader, instance_out->address, sizeof(instance_out->address));
    reader_string(&reader, instance_out->http_address, sizeof(instance_out->http_address));
    instance_out->incarnation.value = reader_u64(&reader);
    if (bytes.data[0] >= ROW_VERSION_TRIED) {
        instance_out->promotions_failed = reader_u32(&reader);
        reader_string(
            &reader, instance_out->promotion_trouble, sizeof(instance_out->promotion_trouble));
    }
    row_close(&reader);
}

/* Rows that grew are read in all forms. */
struct reader row_open(struct slice bytes, uint8_t newest)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = reader_u8(&reader);
    CHECK(version >= ROW_VERSION && version <= newest);
    return reader;
}

void row_close(const struct reader *reader)
{
    enum error error = reader_finish(reader);
    CHECK(error == ERR_OK);
}

uint32_t get_count(struct reader *reader, uint32_t max)
{
    uint32_t count = reader_u32(reader);
    if (count > max) {
        reader_fail(reader);
        return 0;
    }
    return count;
}

void put_position(struct buf *buf, struct position position)
{
    buf_put_u32(buf, position.timeline);
    buf_put_u64(buf, position.lsn);
}

struct position get_position(struct reader *reader)
{
    uint32_t timeline = reader_u32(reader);
    uint64_t lsn = reader_u64(reader);
    return (struct position){.timeline = timeline, .lsn = lsn};
}

void put_report(struct buf *buf, const struct final_report *report)
{
    buf_put_u32(buf, report->instance.value);
    buf_put_u64(buf, report->incarnation.value);
    put_position(buf, report->position);
    buf_put_u64(buf, report->replay_lag_bytes);
}

void get_report(struct reader *reader, struct final_report *report)
{
    report->instance.value = reader_u32(reader);
    report->incarnation.value = reader_u64(reader);
    report->position = get_position(reader);
    report->replay_lag_bytes = reader_u64(reader);
}

void put_marks(struct buf *buf, const struct marks *marks)
{
    CHECK(marks->count <= MARKS_MAX);
    put_position(buf, marks->acked);
    buf_put_u32(buf, marks->count);
    for (uint32_t i = 0; i < marks->count; i++) {
        buf_put_u32(buf, marks->items[i].instance.value);
        buf_put_u64(buf, marks->items[i].incarnation.value);
        put_position(buf, marks->items[i].position);
    }
}

void get_marks(struct reader *reader, struct marks *marks)
{
    marks->acked = get_position(reader);
    marks->count = get_count(reader, MARKS_MAX);
    for (uint32_t i = 0; i < marks->count; i++) {
        marks->items[i].instance.value = reader_u32(reader);
        marks->items[i].incarnation.value = reader_u64(reader);
        marks->items[i].position = get_position(reader);
    }
}

static void put_sync(struct buf *buf, const struct sync_record *sync)
{
    CHECK(sync_record_validate(sync) == ERR_OK);
    buf_put_u64(buf, sync->version);
    buf_put_u32(buf, sync->pairs_count);
    for (uint32_t i = 0; i < sync->pairs_count; i++) {
        const struct sync_pair *pair = &sync->pairs[i];
        buf_put_u32(buf, pair->required);
        buf_put_u32(buf, pair->members_count);
        for (uint32_t k = 0; k < pair->members_count; k++) {
            buf_put_u32(buf, pair->members[k].instance.value);
            buf_put_u64(buf, pair->members[k].incarnation.value);
        }
    }
}

static void get_sync(struct reader *reader, struct sync_record *sync)
{
    sync->version = reader_u64(reader);
    sync->pairs_count = get_count(reader, SYNC_PAIRS_MAX);
    for (uint32_t i = 0; i < sync->pairs_count; i++) {
        struct sync_pair *pair = &sync->pairs[i];
        pair->required = reader_u32(reader);
        pair->members_count = get_count(reader, SYNC_SET_MAX);
        for (uint32_t k = 0; k < pair->members_count; k++) {
            pair->members[k].instance.value = reader_u32(reader);
            pair->members[k].incarnation.value = reader_u64(reader);
        }
    }
}

static void put_shard_spec(struct buf *buf, const struct shard *shard)
{
    buf_put_u32(buf, shard->id.value);
    buf_put_string(buf, shard->name);
    buf_put_u8(buf, (uint8_t)shard->kind);
    buf_put_u8(buf, (uint8_t)shard->mode);
    buf_put_u32(buf, shard->rto_ms);
    buf_put_u32(buf, shard->rpo_ms);
    buf_put_u32(buf, shard->sync_required);
    buf_put_string(buf, shard->preferred_region);
    buf_put_u32(buf, shard->allowed_regions_count);
    for (uint32_t i = 0; i < shard->allowed_regions_count; i++) {
        buf_put_string(buf, shard->allowed_regions[i]);
    }
    buf_put_u8(buf, shard->frozen);
}

static void get_shard_spec(struct reader *reader, struct shard *shard)
{
    shard->id.value = reader_u32(reader);
    reader_string(reader, shard->name, sizeof(shard->name));
    shard->kind = (enum shard_kind)reader_u8(reader);
    shard->mode = (enum shard_mode)reader_u8(reader);
    shard->rto_ms = reader_u32(reader);
    shard->rpo_ms = reader_u32(reader);
    shard->sync_required = reader_u32(reader);
    reader_string(reader, shard->preferred_region, sizeof(shard->preferred_region));
    shard->allowed_regions_count = get_count(reader, REGIONS_MAX);
    for (uint32_t i = 0; i < shard->allowed_regions_count; i++) {
        reader_string(reader, shard->allowed_regions[i], sizeof(shard->allowed_regions[i]));
    }
    shard->frozen = reader_u8(reader) != 0;
}

static void put_shard_state(struct buf *buf, const struct shard *shard)
{
    CHECK(shard->forks_count <= SHARD_FORKS_MAX);
    buf_put_u64(buf, shard->epoch.value);
    buf_put_u32(buf, shard->primary.value);
    buf_put_u64(buf, shard->primary_epoch.value);
    buf_put_u64(buf, shard->primary_incarnation.value);
    buf_put_u8(buf, (uint8_t)shard->lease);
    buf_put_u8(buf, shard->opened);
    put_position(buf, shard->floor);
    buf_put_u32(buf, shard->timeline_reserved);
    buf_put_u32(buf, shard->forks_count);
    for (uint32_t i = 0; i < shard->forks_count; i++) {
        buf_put_u64(buf, shard->forks[i].epoch);
        buf_put_u32(buf, shard->forks[i].timeline);
        buf_put_u32(buf, shard->forks[i].parent_timeline);
        buf_put_u64(buf, shard->forks[i].fork_lsn);
    }
    buf_put_u64(buf, shard->system_identifier);
    put_sync(buf, &shard->sync);
    buf_put_u64(buf, shard->changed_index);
}

static void get_shard_state(struct reader *reader, struct shard *shard)
{
    shard->epoch.value = reader_u64(reader);
    shard->primary.value = reader_u32(reader);
    shard->primary_epoch.value = reader_u64(reader);
    shard->primary_incarnation.value = reader_u64(reader);
    shard->lease = (enum lease_state)reader_u8(reader);
    shard->opened = reader_u8(reader) != 0;
    shard->floor = get_position(reader);
    shard->timeline_reserved = reader_u32(reader);
    shard->forks_count = get_count(reader, SHARD_FORKS_MAX);
    for (uint32_t i = 0; i < shard->forks_count; i++) {
        shard->forks[i].epoch = reader_u64(reader);
        shard->forks[i].timeline = reader_u32(reader);
        shard->forks[i].parent_timeline = reader_u32(reader);
        shard->forks[i].fork_lsn = reader_u64(reader);
    }
    shard->system_identifier = reader_u64(reader);
    get_sync(reader, &shard->sync);
    shard->changed_index = reader_u64(reader);
}
