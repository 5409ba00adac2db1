/* SPDX-License-Identifier: Apache-2.0 */
/* The history of state/kv_rows.h, and where the store stands. */
#include "state/kv_rows.h"

#include "base/check.h"

#include <string.h>

enum {
    HISTORY_KEY_SIZE = 12
};

static const char POSITION_KEY[] = "kv";

struct history_key {
    uint8_t bytes[HISTORY_KEY_SIZE];
};

struct walk {
    kv_event_visit visit;
    void *visit_ctx;
};

static struct history_key make_key(int64_t revision, uint32_t sub);
static struct slice view(const struct history_key *key);
static void read_event(struct slice key, struct slice value, struct kv_event *event_out);
static bool walk_row(struct slice key, struct slice value, void *ctx);

void kv_history_get(const struct tables *tables,
                    int64_t revision,
                    uint32_t sub,
                    struct kv_event *event_out)
{
    struct history_key key = make_key(revision, sub);
    struct slice value;
    enum error error = tables_get(tables, TABLE_KV_HISTORY, view(&key), &value);
    CHECK(error == ERR_OK);
    read_event(view(&key), value, event_out);
}

void kv_history_put(struct change *change, const struct kv_event *event, struct buf *scratch)
{
    struct history_key key = make_key(event->pair.mod_revision, event->sub);
    buf_clear(scratch);
    buf_put_u8(scratch, event->deleted);
    buf_put_bytes(scratch, event->pair.key);
    if (!event->deleted) {
        buf_put_u64(scratch, (uint64_t)event->pair.create_revision);
        buf_put_u64(scratch, (uint64_t)event->pair.version);
        buf_put_u64(scratch, (uint64_t)event->pair.lease);
        buf_put_bytes(scratch, event->pair.value);
    }
    change_put(change, TABLE_KV_HISTORY, view(&key), scratch);
}

void kv_history_del(struct change *change, int64_t revision, uint32_t sub)
{
    struct history_key key = make_key(revision, sub);
    change_del(change, TABLE_KV_HISTORY, view(&key));
}

void kv_history_walk(const struct tables *tables,
                     int64_t revision,
                     uint32_t sub,
                     kv_event_visit visit,
                     void *visit_ctx)
{
    struct history_key from = make_key(revision, sub);
    struct walk walk = {.visit = visit, .visit_ctx = visit_ctx};
    tables->ops->scan(tables->ctx, TABLE_KV_HISTORY, view(&from), walk_row, &walk);
}

void kv_position(const struct tables *tables, struct kv_position *position_out)
{
    struct slice value;
    if (tables_get(tables, TABLE_META, slice_of_string(POSITION_KEY), &value) != ERR_OK) {
        *position_out = (struct kv_position){.revision = 1};
        return;
    }
    struct reader reader = reader_of(value);
    position_out->revision = (int64_t)reader_u64(&reader);
    position_out->compacted = (int64_t)reader_u64(&reader);
    position_out->swept = (int64_t)reader_u64(&reader);
    position_out->swept_sub = reader_u32(&reader);
    CHECK(reader_finish(&reader) == ERR_OK);
}

void kv_position_put(struct change *change, const struct kv_position *position)
{
    struct buf value = {0};
    buf_put_u64(&value, (uint64_t)position->revision);
    buf_put_u64(&value, (uint64_t)position->compacted);
    buf_put_u64(&value, (uint64_t)position->swept);
    buf_put_u32(&value, position->swept_sub);
    change_put(change, TABLE_META, slice_of_string(POSITION_KEY), &value);
    buf_deinit(&value);
}

static struct history_key make_key(int64_t revision, uint32_t sub)
{
    CHECK(revision >= 0);
    struct history_key key;
    struct state_key main_part = key_u64((uint64_t)revision);
    struct state_key sub_part = key_u32(sub);
    memcpy(key.bytes, main_part.bytes, main_part.len);
    memcpy(key.bytes + main_part.len, sub_part.bytes, sub_part.len);
    return key;
}

static struct slice view(const struct history_key *key)
{
    return slice_of(key->bytes, sizeof(key->bytes));
}

static void read_event(struct slice key, struct slice value, struct kv_event *event_out)
{
    CHECK(key.len == HISTORY_KEY_SIZE);
    struct reader reader = reader_of(value);
    struct kv_event event = {.deleted = reader_u8(&reader) != 0};
    event.pair.mod_revision = (int64_t)key_read_u64(key);
    event.sub = key_read_u32(slice_of(key.data + sizeof(uint64_t), sizeof(uint32_t)));
    event.pair.key = reader_bytes(&reader);
    if (!event.deleted) {
        event.pair.create_revision = (int64_t)reader_u64(&reader);
        event.pair.version = (int64_t)reader_u64(&reader);
        event.pair.lease = (int64_t)reader_u64(&reader);
        event.pair.value = reader_bytes(&reader);
    }
    CHECK(reader_finish(&reader) == ERR_OK);
    *event_out = event;
}

static bool walk_row(struct slice key, struct slice value, void *ctx)
{
    const struct walk *walk = ctx;
    struct kv_event event;
    read_event(key, value, &event);
    return walk->visit(&event, walk->visit_ctx);
}
