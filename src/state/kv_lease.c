/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: an id, a TTL as granted, and the keys that go with it. */
#include "base/check.h"
#include "base/hash.h"
#include "state/kv_write.h"

#include <string.h>

struct lease {
    int64_t ttl;
    uint64_t keys; /* how many are attached */
};

struct lease_walk {
    kv_lease_visit visit;
    void *visit_ctx;
};

struct key_walk {
    int64_t lease;
    kv_lease_key_visit visit;
    void *visit_ctx;
};

struct lease_key {
    uint8_t bytes[TABLE_KEY_MAX];
    size_t len;
};

_Static_assert((int)KV_KEY_MAX + 8 <= (int)TABLE_KEY_MAX, "a lease and a key fit a row's key");

static enum error get_lease(const struct tables *tables, int64_t id, struct lease *lease_out);
static void put_lease(struct change *change, int64_t id, const struct lease *lease);
static struct lease read_lease(struct slice value);
static void count_keys(struct change *change, int64_t id, int64_t more);
static struct lease_key make_key(int64_t lease, struct slice key);
static int64_t choose_id(const struct kv_writer *writer);
static bool walk_lease(struct slice key, struct slice value, void *ctx);
static bool walk_key(struct slice key, struct slice value, void *ctx);
static bool gather(struct slice key, void *ctx);

void kv_lease_attach(struct change *change, int64_t lease, struct slice key)
{
    if (lease == 0) {
        return;
    }
    struct lease_key row = make_key(lease, key);
    struct buf nothing = {0};
    change_put(change, TABLE_LEASE_KEY, slice_of(row.bytes, row.len), &nothing);
    count_keys(change, lease, 1);
}

void kv_lease_detach(struct change *change, int64_t lease, struct slice key)
{
    if (lease == 0) {
        return;
    }
    struct lease_key row = make_key(lease, key);
    change_del(change, TABLE_LEASE_KEY, slice_of(row.bytes, row.len));
    count_keys(change, lease, -1);
}

enum kv_error
kv_lease_grant(struct kv_writer *writer, int64_t id, int64_t ttl, struct kv_reply *reply)
{
    int64_t before;
    if (id == 0) {
        id = choose_id(writer);
    } else if (kv_lease_get(writer->tables, id, &before) == ERR_OK) {
        return KV_LEASE_EXISTS;
    }
    put_lease(writer->change, id, &(struct lease){.ttl = ttl});
    reply->lease_id = id;
    reply->lease_ttl = ttl;
    return KV_OK;
}

enum kv_error kv_lease_revoke(struct kv_writer *writer, int64_t id)
{
    struct lease lease;
    if (get_lease(writer->tables, id, &lease) != ERR_OK) {
        return KV_LEASE_NOT_FOUND;
    }
    /* Never too much for the first of a batch: a lease that cannot be revoked would be for ever. */
    if (lease.keys > writer->left.deletes && writer->op > 0) {
        return KV_BATCH_FULL;
    }
    writer->left.deletes -= lease.keys < writer->left.deletes ? lease.keys : writer->left.deletes;
    buf_clear(&writer->doomed);
    kv_lease_keys(writer->tables, id, gather, &writer->doomed);
    struct reader reader = reader_of(buf_view(&writer->doomed));
    struct kv_version version = {.lease = id};
    while (reader.offset < reader.len) {
        kv_delete_key(writer, reader_bytes(&reader), &version);
    }
    CHECK(reader_finish(&reader) == ERR_OK);
    struct state_key key = key_u64((uint64_t)id);
    change_del(writer->change, TABLE_LEASE, key_view(&key));
    return KV_OK;
}

enum error kv_lease_get(const struct tables *tables, int64_t id, int64_t *ttl_out)
{
    struct lease lease;
    TRY(get_lease(tables, id, &lease));
    *ttl_out = lease.ttl;
    return ERR_OK;
}

bool kv_lease_is_full(const struct tables *tables, int64_t id)
{
    struct lease lease;
    return get_lease(tables, id, &lease) == ERR_OK && lease.keys >= KV_DELETE_KEYS_MAX;
}

void kv_leases(const struct tables *tables, int64_t after, kv_lease_visit visit, void *visit_ctx)
{
    CHECK(after >= 0 && after < INT64_MAX);
    struct state_key from = key_u64((uint64_t)after + 1);
    struct lease_walk walk = {.visit = visit, .visit_ctx = visit_ctx};
    tables->ops->scan(tables->ctx, TABLE_LEASE, key_view(&from), walk_lease, &walk);
}

void kv_lease_keys(const struct tables *tables,
                   int64_t id,
                   kv_lease_key_visit visit,
                   void *visit_ctx)
{
    struct state_key from = key_u64((uint64_t)id);
    struct key_walk walk = {.lease = id, .visit = visit, .visit_ctx = visit_ctx};
    tables->ops->scan(tables->ctx, TABLE_LEASE_KEY, key_view(&from), walk_key, &walk);
}

static struct lease_key make_key(int64_t lease, struct slice key)
{
    struct lease_key row = {.len = 0};
    struct state_key first = key_u64((uint64_t)lease);
    CHECK(first.len + key.len <= sizeof(row.bytes));
    memcpy(row.bytes, first.bytes, first.len);
    memcpy(row.bytes + first.len, key.data, key.len);
    row.len = first.len + key.len;
    return row;
}

static enum error get_lease(const struct tables *tables, int64_t id, struct lease *lease_out)
{
    struct state_key key = key_u64((uint64_t)id);
    struct slice value;
    TRY(tables_get(tables, TABLE_LEASE, key_view(&key), &value));
    *lease_out = read_lease(value);
    return ERR_OK;
}

static void put_lease(struct change *change, int64_t id, const struct lease *lease)
{
    struct state_key key = key_u64((uint64_t)id);
    struct buf value = {0};
    buf_put_u64(&value, (uint64_t)lease->ttl);
    buf_put_u64(&value, lease->keys);
    change_put(change, TABLE_LEASE, key_view(&key), &value);
    buf_deinit(&value);
}

static struct lease read_lease(struct slice value)
{
    struct reader reader = reader_of(value);
    struct lease lease = {.ttl = (int64_t)reader_u64(&reader)};
    lease.keys = reader_u64(&reader);
    CHECK(reader_finish(&reader) == ERR_OK);
    return lease;
}

static void count_keys(struct change *change, int64_t id, int64_t more)
{
    struct lease lease;
    enum error error = get_lease(change->tables, id, &lease);
    CHECK(error == ERR_OK);
    lease.keys += (uint64_t)more;
    put_lease(change, id, &lease);
}

/* The same on every member: from where the operation stands in the log. */
static int64_t choose_id(const struct kv_writer *writer)
{
    for (uint64_t attempt = 0;; attempt++) {
        uint64_t place[3] = {writer->change->index, writer->op, attempt};
        int64_t id = (int64_t)(hash_xxh3(place, sizeof(place), 0) & INT64_MAX);
        int64_t ttl;
        if (id != 0 && kv_lease_get(writer->tables, id, &ttl) == ERR_NOT_FOUND) {
            return id;
        }
    }
}

static bool walk_lease(struct slice key, struct slice value, void *ctx)
{
    const struct lease_walk *walk = ctx;
    return walk->visit((int64_t)key_read_u64(key), read_lease(value).ttl, walk->visit_ctx);
}

static bool walk_key(struct slice key, struct slice value, void *ctx)
{
    const struct key_walk *walk = ctx;
    (void)value;
    if ((int64_t)key_read_u64(key) != walk->lease) {
        return false;
    }
    struct slice plain = slice_of(key.data + sizeof(uint64_t), key.len - sizeof(uint64_t));
    return walk->visit(plain, walk->visit_ctx);
}

static bool gather(struct slice key, void *ctx)
{
    buf_put_bytes(ctx, key);
    return true;
}
