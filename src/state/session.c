/* SPDX-License-Identifier: Apache-2.0 */
/* See state/session.h. TABLE_REPLY: request id -> result. TABLE_REPLY_ORDER: log index -> request
 * id, oldest first. The meta row counts replies and keeps the newest clock among evicted ids. */
#include "state/session.h"

#include "base/check.h"

#include <string.h>

struct session_meta {
    uint32_t count;
    uint64_t evicted_wall_ms;
};

static const char META_KEY[] = "replies";

static struct session_meta meta_get(const struct tables *tables);
static void meta_put(struct change *change, const struct session_meta *meta);
static void evict_oldest(struct change *change, struct session_meta *meta);
static bool first_row(struct slice key, struct slice value, void *ctx);

struct oldest {
    uint64_t index;
    struct request_id request;
    bool found;
};

enum session_verdict session_look_up(const struct tables *tables,
                                     struct request_id request,
                                     struct command_result *result_out)
{
    struct state_key key = key_u64_u64(request.hi, request.lo);
    struct slice value;
    if (tables_get(tables, TABLE_REPLY, key_view(&key), &value) == ERR_OK) {
        struct reader reader = reader_of(value);
        memset(result_out, 0, sizeof(*result_out));
        result_out->error = (enum error)reader_u8(&reader);
        reader_string(&reader, result_out->message, sizeof(result_out->message));
        result_out->index = reader_u64(&reader);
        result_out->id = reader_u64(&reader);
        CHECK(reader_finish(&reader) == ERR_OK);
        return SESSION_KNOWN;
    }
    struct session_meta meta = meta_get(tables);
    if (meta.evicted_wall_ms > 0 && request_id_wall_ms(request) <= meta.evicted_wall_ms) {
        return SESSION_EXPIRED;
    }
    return SESSION_NEW;
}

void session_store(struct change *change,
                   struct request_id request,
                   const struct command_result *result,
                   uint32_t replies_max)
{
    CHECK(replies_max > 0);
    struct buf value = {0};
    struct state_key key = key_u64_u64(request.hi, request.lo);
    buf_put_u8(&value, (uint8_t)result->error);
    buf_put_string(&value, result->message);
    buf_put_u64(&value, result->index);
    buf_put_u64(&value, result->id);
    change_put(change, TABLE_REPLY, key_view(&key), &value);

    key = key_u64(change->index);
    buf_clear(&value);
    buf_put_u64(&value, request.hi);
    buf_put_u64(&value, request.lo);
    change_put(change, TABLE_REPLY_ORDER, key_view(&key), &value);
    buf_deinit(&value);

    struct session_meta meta = meta_get(change->tables);
    meta.count++;
    while (meta.count > replies_max) {
        evict_oldest(change, &meta);
    }
    meta_put(change, &meta);
}

static struct session_meta meta_get(const struct tables *tables)
{
    struct session_meta meta = {0};
    struct slice value;
    if (tables_get(tables, TABLE_META, slice_of_string(META_KEY), &value) == ERR_OK) {
        struct reader reader = reader_of(value);
        meta.count = reader_u32(&reader);
        meta.evicted_wall_ms = reader_u64(&reader);
        CHECK(reader_finish(&reader) == ERR_OK);
    }
    return meta;
}

static void meta_put(struct change *change, const struct session_meta *meta)
{
    struct buf value = {0};
    buf_put_u32(&value, meta->count);
    buf_put_u64(&value, meta->evicted_wall_ms);
    change_put(change, TABLE_META, slice_of_string(META_KEY), &value);
    buf_deinit(&value);
}

static void evict_oldest(struct change *change, struct session_meta *meta)
{
    struct oldest oldest = {0};
    struct state_key from = key_u64(0);
    change->tables->ops->scan(
        change->tables->ctx, TABLE_REPLY_ORDER, key_view(&from), first_row, &oldest);
    CHECK(oldest.found);
    CHECK(meta->count > 0);
    struct state_key key = key_u64(oldest.index);
    change_del(change, TABLE_REPLY_ORDER, key_view(&key));
    key = key_u64_u64(oldest.request.hi, oldest.request.lo);
    change_del(change, TABLE_REPLY, key_view(&key));
    uint64_t wall_ms = request_id_wall_ms(oldest.request);
    if (wall_ms > meta->evicted_wall_ms) {
        meta->evicted_wall_ms = wall_ms;
    }
    meta->count--;
}

static bool first_row(struct slice key, struct slice value, void *ctx)
{
    struct oldest *oldest = ctx;
    struct reader reader = reader_of(value);
    oldest->index = key_read_u64(key);
    oldest->request.hi = reader_u64(&reader);
    oldest->request.lo = reader_u64(&reader);
    CHECK(reader_finish(&reader) == ERR_OK);
    oldest->found = true;
    return false;
}
