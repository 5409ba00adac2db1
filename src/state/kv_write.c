/* SPDX-License-Identifier: Apache-2.0 */
/* See state/kv_write.h. */
#include "state/kv_write.h"

#include "base/check.h"

struct gathering {
    const struct tables *tables;
    struct buf *doomed;
    struct buf *pairs; /* NULL: not asked for */
    int64_t count;
};

struct sizing {
    const struct tables *tables;
    uint64_t keys_max;
    uint64_t keys;
    uint64_t bytes_max;
    uint64_t bytes;
    bool with_pairs;
};

enum {
    PAIR_BYTES = 64 /* beside key and value */
};

static bool size_key(struct slice key, const struct kv_version *version, void *ctx);
static enum kv_error take_before(struct kv_writer *writer,
                                 const struct kv_op_put *put,
                                 const struct kv_version *version);
static bool gather(struct slice key, const struct kv_version *version, void *ctx);
static bool
find_live(const struct kv_writer *writer, struct slice key, struct kv_version *version_out);

int64_t kv_writer_revision(const struct kv_writer *writer)
{
    return writer->position.revision + 1;
}

int64_t kv_writer_header(const struct kv_writer *writer)
{
    return writer->position.revision + (writer->subs > 0);
}

void kv_writer_finish_op(struct kv_writer *writer)
{
    writer->position.revision = kv_writer_header(writer);
    writer->subs = 0;
    writer->op++;
}

enum kv_error kv_refusal(const struct kv_writer *writer, enum kv_error error)
{
    return writer->op == 0 ? error : KV_BATCH_FULL;
}

enum kv_error kv_take_bytes(struct kv_writer *writer, uint64_t bytes)
{
    if (bytes > writer->left.bytes) {
        return kv_refusal(writer, KV_ANSWER_TOO_LARGE);
    }
    writer->left.bytes -= bytes;
    return KV_OK;
}

enum kv_error kv_writer_walk(struct kv_writer *writer,
                             const struct kv_range *range,
                             kv_index_visit visit,
                             void *visit_ctx)
{
    const struct kv_walk walk = {.range = *range, .revision = KV_NOW, .rows = &writer->left.rows};
    bool whole = kv_index_walk(writer->tables, &walk, visit, visit_ctx);
    return whole ? KV_OK : kv_refusal(writer, KV_TOO_MANY_ROWS);
}

uint64_t kv_pair_bytes(const struct kv_pair *pair)
{
    return pair->key.len + pair->value.len + PAIR_BYTES;
}

enum kv_error kv_put_check(struct kv_writer *writer, const struct kv_op_put *put)
{
    int64_t ttl;
    struct kv_version version;
    bool must_exist = put->ignore_value || put->ignore_lease;
    if (put->lease == 0 && !must_exist && !put->prev_kv) {
        return KV_OK;
    }
    if (put->lease != 0 && kv_lease_get(writer->tables, put->lease, &ttl) != ERR_OK) {
        return KV_LEASE_NOT_FOUND;
    }
    bool exists = find_live(writer, put->key, &version);
    if (must_exist && !exists) {
        return KV_KEY_NOT_FOUND;
    }
    bool attaches = put->lease != 0 && (!exists || version.lease != put->lease);
    if (attaches && kv_lease_is_full(writer->tables, put->lease)) {
        return KV_TOO_MANY_OPS;
    }
    return exists && (put->prev_kv || put->ignore_value) ? take_before(writer, put, &version)
                                                         : KV_OK;
}

enum kv_error kv_delete_check(struct kv_writer *writer, const struct kv_op_delete *del)
{
    struct sizing sizing = {
        .tables = writer->tables,
        .keys_max = writer->left.deletes,
        .bytes_max = writer->left.bytes,
        .with_pairs = del->prev_kv,
    };
    if (del->range.end.len == 0 && !del->prev_kv) {
        sizing.keys = 1; /* if it is there */
    } else {
        enum kv_error error = kv_writer_walk(writer, &del->range, size_key, &sizing);
        if (error != KV_OK) {
            return error;
        }
    }
    if (sizing.keys > writer->left.deletes) {
        return kv_refusal(writer, KV_TOO_MANY_OPS);
    }
    writer->left.deletes -= sizing.keys;
    return kv_take_bytes(writer, sizing.bytes);
}

void kv_put_run(struct kv_writer *writer, const struct kv_op_put *put, struct buf *pairs)
{
    struct kv_version before;
    bool exists = find_live(writer, put->key, &before);
    struct kv_event event = {
        .sub = writer->subs++,
        .pair = {.key = put->key,
                 .value = put->value,
                 .create_revision = exists ? before.create_revision : kv_writer_revision(writer),
                 .mod_revision = kv_writer_revision(writer),
                 .version = exists ? before.version + 1 : 1,
                 .lease = put->lease},
    };
    if (exists && (put->prev_kv || put->ignore_value)) {
        struct kv_event old;
        kv_history_get(writer->tables, before.revision, before.sub, &old);
        if (put->prev_kv) {
            kv_pair_encode(pairs, &old.pair);
        }
        if (put->ignore_value) {
            /* Borrowed from the tables, which change below. */
            buf_clear(&writer->value);
            buf_append(&writer->value, old.pair.value.data, old.pair.value.len);
            event.pair.value = buf_view(&writer->value);
        }
    }
    if (put->ignore_lease) {
        CHECK(exists);
        event.pair.lease = before.lease;
    }
    struct kv_version version = {
        .revision = event.pair.mod_revision,
        .sub = event.sub,
        .create_revision = event.pair.create_revision,
        .version = event.pair.version,
        .lease = event.pair.lease,
    };
    kv_index_put(writer->change, put->key, &version);
    kv_history_put(writer->change, &event, &writer->row);
    int64_t lease_before = exists ? before.lease : 0;
    if (lease_before != event.pair.lease) {
        kv_lease_detach(writer->change, lease_before, put->key);
        kv_lease_attach(writer->change, event.pair.lease, put->key);
    }
}

int64_t kv_delete_run(struct kv_writer *writer, const struct kv_op_delete *del, struct buf *pairs)
{
    buf_clear(&writer->doomed);
    struct gathering gathering = {
        .tables = writer->tables,
        .doomed = &writer->doomed,
        .pairs = del->prev_kv ? pairs : NULL,
    };
    const struct kv_walk walk = {.range = del->range, .revision = KV_NOW};
    CHECK(kv_index_walk(writer->tables, &walk, gather, &gathering));
    struct reader reader = reader_of(buf_view(&writer->doomed));
    for (int64_t i = 0; i < gathering.count; i++) {
        struct kv_version version = {.lease = (int64_t)reader_u64(&reader)};
        kv_delete_key(writer, reader_bytes(&reader), &version);
    }
    CHECK(reader_finish(&reader) == ERR_OK);
    return gathering.count;
}

void kv_delete_key(struct kv_writer *writer, struct slice key, const struct kv_version *version)
{
    struct kv_event event = {
        .deleted = true,
        .sub = writer->subs++,
        .pair = {.key = key, .mod_revision = kv_writer_revision(writer)},
    };
    struct kv_version gone = {
        .revision = event.pair.mod_revision,
        .sub = event.sub,
        .deleted = true,
    };
    kv_index_put(writer->change, key, &gone);
    kv_history_put(writer->change, &event, &writer->row);
    kv_lease_detach(writer->change, version->lease, key);
}

/* Goes on until it is known to be too much. */
static bool size_key(struct slice key, const struct kv_version *version, void *ctx)
{
    struct sizing *sizing = ctx;
    (void)key;
    sizing->keys++;
    if (sizing->with_pairs) {
        struct kv_event event;
        kv_history_get(sizing->tables, version->revision, version->sub, &event);
        sizing->bytes += kv_pair_bytes(&event.pair);
    }
    return sizing->keys <= sizing->keys_max && sizing->bytes <= sizing->bytes_max;
}

/* A put copies what was there before: into its reply, or as the value that it keeps. */
static enum kv_error
take_before(struct kv_writer *writer, const struct kv_op_put *put, const struct kv_version *version)
{
    struct kv_event event;
    kv_history_get(writer->tables, version->revision, version->sub, &event);
    uint64_t bytes = put->prev_kv ? kv_pair_bytes(&event.pair) : 0;
    bytes += put->ignore_value ? event.pair.value.len : 0;
    return kv_take_bytes(writer, bytes);
}

static bool gather(struct slice key, const struct kv_version *version, void *ctx)
{
    struct gathering *gathering = ctx;
    gathering->count++;
    buf_put_u64(gathering->doomed, (uint64_t)version->lease);
    buf_put_bytes(gathering->doomed, key);
    if (gathering->pairs != NULL) {
        struct kv_event event;
        kv_history_get(gathering->tables, version->revision, version->sub, &event);
        kv_pair_encode(gathering->pairs, &event.pair);
    }
    return true;
}

static bool
find_live(const struct kv_writer *writer, struct slice key, struct kv_version *version_out)
{
    return kv_index_find(writer->tables, key, KV_NOW, version_out) == ERR_OK &&
           !version_out->deleted;
}
