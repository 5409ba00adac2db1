/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine's tables on LMDB: each call is one lookup or change inside the store's open
 * transaction. See state/tables.h for what they promise. */
#include "storage/store_internal.h"

#include "base/check.h"

#include <string.h>

enum {
    /* What a change of one row costs beside its bytes: between nothing, for a row that joins others
     * on a page, and whole copied pages, for one in a table of millions. */
    CHANGE_OVERHEAD = 256
};

static MDB_dbi dbi_of(const struct store *store, enum table table);
static void check_key(struct slice key);
static MDB_val val_of(struct slice slice);
static struct slice slice_of_val(const MDB_val *val);

static enum error table_get(void *ctx, enum table table, struct slice key, struct slice *value_out)
{
    struct store *store = ctx;
    MDB_dbi dbi = dbi_of(store, table);
    check_key(key);
    MDB_val key_val = val_of(key);
    MDB_val value;
    int failure = mdb_get(store->txn, dbi, &key_val, &value);
    if (failure == MDB_NOTFOUND) {
        return ERR_NOT_FOUND;
    }
    if (failure != 0) {
        store_fatal("read a row", failure);
    }
    *value_out = slice_of_val(&value);
    return ERR_OK;
}

static void table_put(void *ctx, enum table table, struct slice key, struct slice value)
{
    struct store *store = ctx;
    CHECK(!store->read_only);
    MDB_dbi dbi = dbi_of(store, table);
    check_key(key);
    /* Key or value may be borrowed from the very page that this change rearranges. */
    buf_clear(&store->scratch);
    buf_append(&store->scratch, key.data, key.len);
    buf_append(&store->scratch, value.data, value.len);
    MDB_val key_val = val_of(slice_of(store->scratch.data, key.len));
    MDB_val value_val = val_of(slice_of(store->scratch.data + key.len, value.len));
    int failure = mdb_put(store->txn, dbi, &key_val, &value_val, 0);
    if (failure != 0) {
        store_fatal("write a row", failure);
    }
    store->dirty_bytes += key.len + value.len + CHANGE_OVERHEAD;
}

static void table_del(void *ctx, enum table table, struct slice key)
{
    struct store *store = ctx;
    CHECK(!store->read_only);
    MDB_dbi dbi = dbi_of(store, table);
    check_key(key);
    buf_clear(&store->scratch);
    buf_append(&store->scratch, key.data, key.len);
    MDB_val key_val = val_of(buf_view(&store->scratch));
    int failure = mdb_del(store->txn, dbi, &key_val, NULL);
    if (failure == MDB_NOTFOUND) {
        return;
    }
    if (failure != 0) {
        store_fatal("remove a row", failure);
    }
    store->dirty_bytes += key.len + CHANGE_OVERHEAD;
}

static void
table_scan(void *ctx, enum table table, struct slice from, tables_visit visit, void *visit_ctx)
{
    struct store *store = ctx;
    MDB_cursor *cursor;
    int failure = mdb_cursor_open(store->txn, dbi_of(store, table), &cursor);
    if (failure != 0) {
        store_fatal("open a cursor", failure);
    }
    MDB_val key = val_of(from);
    MDB_val value;
    failure = mdb_cursor_get(cursor, &key, &value, from.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (failure == 0 && visit(slice_of_val(&key), slice_of_val(&value), visit_ctx)) {
        failure = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (failure != 0 && failure != MDB_NOTFOUND) {
        store_fatal("scan a table", failure);
    }
}

const struct tables_ops store_tables_ops = {
    .get = table_get,
    .put = table_put,
    .del = table_del,
    .scan = table_scan,
};

static MDB_dbi dbi_of(const struct store *store, enum table table)
{
    CHECK(store->txn != NULL);
    CHECK(table >= TABLE_META && table < TABLE_COUNT);
    return store->dbis[table];
}

static void check_key(struct slice key)
{
    CHECK(key.len > 0 && key.len <= TABLE_KEY_MAX);
}

static MDB_val val_of(struct slice slice)
{
    /* LMDB's struct is not const, its functions only read here. */
    MDB_val val = {.mv_size = slice.len};
    memcpy(&val.mv_data, &slice.data, sizeof(val.mv_data));
    return val;
}

static struct slice slice_of_val(const MDB_val *val)
{
    return slice_of(val->mv_data, val->mv_size);
}
