/* SPDX-License-Identifier: Apache-2.0 */
/* See store.h. LMDB runs with MDB_NOTLS (readers belong to transactions, not threads), without
 * MDB_WRITEMAP and with syncs: a stray pointer cannot reach the file, and a commit is durable. */
#include "storage/store.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILE_MODE = 0600,
    TABLE_NAME_SIZE = 16
};

/* Addresses, not disk and not memory: far above any state, because a map cannot be moved while a
 * snapshot is read from it. */
static const uint64_t MAP_BYTES_DEFAULT = 256ULL * 1024 * 1024 * 1024;

static const char FORMAT_KEY[] = "format";
static const char COMMITTED_KEY[] = "committed";

static enum error check_files(struct store *store, const char *folder);
static enum error open_env(struct store *store, const struct store_options *options);
static enum error open_tables(struct store *store);
static enum error check_format(struct store *store, MDB_txn *txn);
static int get_number(struct store *store, MDB_txn *txn, const char *key, uint64_t *value_out);
static int put_number(struct store *store, MDB_txn *txn, const char *key, uint64_t value);
static enum error fail(struct store *store, int mdb_error, const char *doing);
static enum error error_of(int mdb_error);

enum error
store_open(const struct store_options *options, struct reason *reason, struct store **store_out)
{
    struct store *store = mem_new(sizeof(*store));
    store->read_only = options->read_only;
    store->tables = (struct tables){.ops = &store_tables_ops, .ctx = store};
    enum error error = open_env(store, options);
    if (error == ERR_OK) {
        error = open_tables(store);
    }
    if (error != ERR_OK) {
        reason_set(reason,
                   error,
                   "cannot open the store %s: %.400s. The store can be rebuilt from the log: if it "
                   "is damaged, move the folder away, make an empty one, and start again",
                   options->path,
                   store->reason.text);
        store_close(store);
        return error;
    }
    *store_out = store;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store->txn != NULL) {
        mdb_txn_abort(store->txn);
    }
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    buf_deinit(&store->scratch);
    mem_free(store);
}

enum error store_begin(struct store *store, uint64_t now_ms)
{
    if (store->txn != NULL) {
        return ERR_OK;
    }
    int failure = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &store->txn);
    if (failure != 0) {
        store->txn = NULL;
        return fail(store, failure, "begin a transaction");
    }
    store->begun_ms = now_ms;
    store->dirty_bytes = 0;
    return ERR_OK;
}

const struct tables *store_tables(struct store *store)
{
    return &store->tables;
}

bool store_wants_commit(const struct store *store, uint64_t now_ms)
{
    if (store->txn == NULL || store->dirty_bytes == 0) {
        return false;
    }
    return store->dirty_bytes >= STORE_COMMIT_BYTES || now_ms - store->begun_ms >= STORE_COMMIT_MS;
}

enum error store_commit(struct store *store, uint64_t applied_index, uint64_t durable_index)
{
    CHECK(store->txn != NULL);
    CHECK(!store->read_only);
    if (applied_index > durable_index) {
        return reason_set(&store->reason,
                          ERR_PRECONDITION,
                          "entry %" PRIu64 " is applied but the local log is durable only up to "
                          "%" PRIu64,
                          applied_index,
                          durable_index);
    }
    CHECK(applied_index >= store->committed_index);
    int failure = put_number(store, store->txn, COMMITTED_KEY, applied_index);
    if (failure != 0) {
        store_fatal("write the committed index", failure);
    }
    FAILPOINT("store.commit.before");
    failure = mdb_txn_commit(store->txn);
    store->txn = NULL;
    if (failure != 0) {
        return fail(store, failure, "commit a transaction");
    }
    FAILPOINT("store.commit.after");
    store->committed_index = applied_index;
    return ERR_OK;
}

void store_abort(struct store *store)
{
    if (store->txn != NULL) {
        mdb_txn_abort(store->txn);
        store->txn = NULL;
    }
}

uint64_t store_committed_index(const struct store *store)
{
    return store->committed_index;
}

void store_usage(const struct store *store, uint64_t *used_out, uint64_t *map_out)
{
    MDB_envinfo info;
    MDB_stat stat;
    CHECK(mdb_env_info(store->env, &info) == 0);
    CHECK(mdb_env_stat(store->env, &stat) == 0);
    *used_out = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    *map_out = info.me_mapsize;
}

bool store_is_nearly_full(uint64_t used, uint64_t map)
{
    return map - used < STORE_MAP_MARGIN_BYTES;
}

const struct reason *store_reason(const struct store *store)
{
    return &store->reason;
}

void store_fatal(const char *doing, int mdb_error)
{
    log_event(LOG_ERROR,
              "store.failed",
              "doing=%s error=%s",
              log_quote(doing),
              log_quote(mdb_strerror(mdb_error)));
    check_failed("the store works", __FILE__, __LINE__, doing);
}

/* LMDB would wait for whoever writes into a pipe. */
static enum error check_files(struct store *store, const char *folder)
{
    static const char *const FILES[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        char path[PATH_MAX];
        struct stat about;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, FILES[i]);
        if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
            return reason_set(
                &store->reason, ERR_NOT_REGULAR, "%s is not a regular file", FILES[i]);
        }
    }
    return ERR_OK;
}

static enum error open_env(struct store *store, const struct store_options *options)
{
    TRY(check_files(store, options->path));
    int failure = mdb_env_create(&store->env);
    if (failure != 0) {
        store->env = NULL;
        return fail(store, failure, "create the environment");
    }
    failure = mdb_env_set_maxdbs(store->env, TABLE_COUNT + 1);
    if (failure == 0 && !options->read_only) {
        uint64_t map = options->map_bytes != 0 ? options->map_bytes : MAP_BYTES_DEFAULT;
        failure = mdb_env_set_mapsize(store->env, map);
    }
    unsigned flags = MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0);
    if (failure == 0) {
        failure = mdb_env_open(store->env, options->path, flags, FILE_MODE);
    }
    if (options->read_only && (failure == EACCES || failure == EROFS)) {
        /* A copy on a read-only medium: nobody can be writing to it. */
        mdb_env_close(store->env);
        store->env = NULL;
        failure = mdb_env_create(&store->env);
        if (failure == 0) {
            failure = mdb_env_set_maxdbs(store->env, TABLE_COUNT + 1);
        }
        if (failure == 0) {
            failure = mdb_env_open(store->env, options->path, flags | MDB_NOLOCK, FILE_MODE);
        }
    }
    if (failure == ENOMEM) {
        return reason_set(&store->reason,
                          ERR_EXHAUSTED,
                          "cannot map its addresses (256 GiB; they need no memory): lift the limit "
                          "on address space (ulimit -v)");
    }
    return failure == 0 ? ERR_OK : fail(store, failure, "open the environment");
}

static enum error open_tables(struct store *store)
{
    MDB_txn *txn;
    int failure = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &txn);
    if (failure != 0) {
        return fail(store, failure, "begin a transaction");
    }
    unsigned create = store->read_only ? 0 : MDB_CREATE;
    failure = mdb_dbi_open(txn, "store", create, &store->own);
    for (int table = TABLE_META; table < TABLE_COUNT && failure == 0; table++) {
        char name[TABLE_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "table-%d", table);
        failure = mdb_dbi_open(txn, name, create, &store->dbis[table]);
    }
    if (failure == MDB_NOTFOUND && store->read_only) {
        mdb_txn_abort(txn);
        return reason_set(&store->reason, ERR_NOT_FOUND, "nothing was ever applied to it");
    }
    if (failure != 0) {
        mdb_txn_abort(txn);
        return fail(store, failure, "open the tables");
    }
    enum error error = check_format(store, txn);
    if (error != ERR_OK) {
        mdb_txn_abort(txn);
        return error;
    }
    failure = mdb_txn_commit(txn);
    return failure == 0 ? ERR_OK : fail(store, failure, "commit the tables");
}

static enum error check_format(struct store *store, MDB_txn *txn)
{
    uint64_t format = 0;
    int failure = get_number(store, txn, FORMAT_KEY, &format);
    if (failure == MDB_NOTFOUND && !store->read_only) {
        format = STORE_FORMAT;
        failure = put_number(store, txn, FORMAT_KEY, format);
    }
    if (failure != 0) {
        return fail(store, failure, "read its format");
    }
    if (format != STORE_FORMAT) {
        return reason_set(&store->reason,
                          ERR_VERSION,
                          "its format is %" PRIu64 ", and this version knows %d only",
                          format,
                          STORE_FORMAT);
    }
    failure = get_number(store, txn, COMMITTED_KEY, &store->committed_index);
    if (failure != 0 && failure != MDB_NOTFOUND) {
        return fail(store, failure, "read its committed index");
    }
    return ERR_OK;
}

static int get_number(struct store *store, MDB_txn *txn, const char *key, uint64_t *value_out)
{
    char name[TABLE_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s", key);
    MDB_val name_val = {.mv_size = strlen(name), .mv_data = name};
    MDB_val value;
    int failure = mdb_get(txn, store->own, &name_val, &value);
    if (failure != 0) {
        return failure;
    }
    struct reader reader = reader_of(slice_of(value.mv_data, value.mv_size));
    uint64_t number = reader_u64(&reader);
    if (reader_finish(&reader) != ERR_OK) {
        return MDB_CORRUPTED;
    }
    *value_out = number;
    return 0;
}

static int put_number(struct store *store, MDB_txn *txn, const char *key, uint64_t value)
{
    char name[TABLE_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s", key);
    struct buf bytes = {0};
    buf_put_u64(&bytes, value);
    MDB_val name_val = {.mv_size = strlen(name), .mv_data = name};
    MDB_val value_val = {.mv_size = bytes.len, .mv_data = bytes.data};
    int failure = mdb_put(txn, store->own, &name_val, &value_val, 0);
    buf_deinit(&bytes);
    return failure;
}

static enum error fail(struct store *store, int mdb_error, const char *doing)
{
    return reason_set(
        &store->reason, error_of(mdb_error), "cannot %s: %s", doing, mdb_strerror(mdb_error));
}

static enum error error_of(int mdb_error)
{
    switch (mdb_error) {
    case MDB_MAP_FULL:
        return ERR_NO_SPACE;
    case MDB_VERSION_MISMATCH:
        return ERR_VERSION;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_INVALID:
    case MDB_NOTFOUND:
        return ERR_CORRUPT;
    default:
        return mdb_error > 0 ? error_from_errno(mdb_error) : ERR_INTERNAL;
    }
}
