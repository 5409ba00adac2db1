/* SPDX-License-Identifier: Apache-2.0 */
/* See store_copy.h. */
#include "storage/store_copy.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 640,
    FOLDER_MODE = 0700,
    /* Rows between two commits of a store that is being built: bounds memory, costs few syncs. */
    INSTALL_BYTES = 32 * 1024 * 1024,
};

static const char NEW[] = ".new";
static const char OLD[] = ".old";

/* A store of its own kind: the same environment, a transaction that only reads. */
struct store_reader {
    struct store view;
};

struct install {
    struct store *store;
    uint64_t bytes;
    enum error error;
};

static enum error build(const struct disk *disk,
                        const char *snapshot_path,
                        const char *path,
                        struct reason *reason,
                        struct snapshot_header *header_out);
static bool put_row(enum table table, struct slice key, struct slice value, void *row_ctx);
static enum error exchange(const char *path, struct reason *reason);
static enum error make_folder(const char *path, struct reason *reason);
static enum error remove_folder(const char *path, struct reason *reason);
static enum error sync_parent(const char *path);
static void beside(const char *path, const char *suffix, char *path_out);
static bool exists(const char *path);

enum error store_reader_begin(struct store *store, struct store_reader **reader_out)
{
    struct store_reader *reader = mem_new(sizeof(*reader));
    struct store *view = &reader->view;
    view->env = store->env;
    memcpy(view->dbis, store->dbis, sizeof(view->dbis));
    view->own = store->own;
    view->read_only = true;
    view->tables = (struct tables){.ops = &store_tables_ops, .ctx = view};
    int failure = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &view->txn);
    if (failure != 0) {
        mem_free(reader);
        return reason_set(&store->reason,
                          failure == MDB_READERS_FULL ? ERR_EXHAUSTED : ERR_IO,
                          "cannot begin a reading transaction: %s",
                          mdb_strerror(failure));
    }
    *reader_out = reader;
    return ERR_OK;
}

const struct tables *store_reader_tables(struct store_reader *reader)
{
    return &reader->view.tables;
}

void store_reader_end(struct store_reader *reader)
{
    mdb_txn_abort(reader->view.txn);
    mem_free(reader);
}

enum error store_install(const struct disk *disk,
                         const char *snapshot_path,
                         const char *path,
                         struct reason *reason,
                         struct snapshot_header *header_out)
{
    char fresh[PATH_SIZE];
    beside(path, NEW, fresh);
    TRY(remove_folder(fresh, reason));
    TRY(make_folder(fresh, reason));
    struct snapshot_header header;
    enum error error =
        FAILPOINT_AROUND("store.build", build(disk, snapshot_path, fresh, reason, &header));
    if (error != ERR_OK) {
        /* The room it has taken may be what is missing. */
        struct reason ignored;
        (void)remove_folder(fresh, &ignored);
        return error;
    }
    TRY(FAILPOINT_AROUND("store.exchange", exchange(path, reason)));
    *header_out = header;
    return ERR_OK;
}

enum error store_clear(const char *path, struct reason *reason)
{
    char fresh[PATH_SIZE];
    beside(path, NEW, fresh);
    TRY(remove_folder(fresh, reason));
    TRY(make_folder(fresh, reason));
    return exchange(path, reason);
}

enum error store_settle(const char *path, struct reason *reason)
{
    char fresh[PATH_SIZE];
    char old[PATH_SIZE];
    beside(path, NEW, fresh);
    beside(path, OLD, old);
    if (!exists(path) && exists(fresh)) {
        /* Between the two renames of an exchange: what was built is whole. */
        if (rename(fresh, path) != 0) {
            return reason_set(reason, error_from_errno(errno), "cannot rename %s", fresh);
        }
        TRY(sync_parent(path));
    }
    TRY(remove_folder(fresh, reason));
    return remove_folder(old, reason);
}

static enum error build(const struct disk *disk,
                        const char *snapshot_path,
                        const char *path,
                        struct reason *reason,
                        struct snapshot_header *header_out)
{
    const struct store_options options = {.path = path};
    struct install install = {.error = ERR_OK};
    TRY(store_open(&options, reason, &install.store));
    struct snapshot_header header;
    enum error error = store_begin(install.store, 0);
    if (error == ERR_OK) {
        const struct snapshot_taker taker = {.row = put_row, .row_ctx = &install};
        error = snapshot_file_load(disk, snapshot_path, reason, &header, &taker);
        error = install.error != ERR_OK ? install.error : error;
    }
    if (error == ERR_OK) {
        error = store_commit(install.store, header.index, header.index);
    }
    if (error != ERR_OK && store_reason(install.store)->text[0] != '\0') {
        *reason = *store_reason(install.store);
    }
    store_close(install.store);
    if (error == ERR_OK) {
        *header_out = header;
    }
    return error;
}

static bool put_row(enum table table, struct slice key, struct slice value, void *row_ctx)
{
    struct install *install = row_ctx;
    tables_put(store_tables(install->store), table, key, value);
    install->bytes += key.len + value.len;
    if (install->bytes < INSTALL_BYTES) {
        return true;
    }
    /* Index 0: until the last commit this store says that it holds nothing. */
    install->bytes = 0;
    install->error = store_commit(install->store, 0, 0);
    if (install->error == ERR_OK) {
        install->error = store_begin(install->store, 0);
    }
    return install->error == ERR_OK;
}

static enum error exchange(const char *path, struct reason *reason)
{
    char fresh[PATH_SIZE];
    char old[PATH_SIZE];
    beside(path, NEW, fresh);
    beside(path, OLD, old);
    bool done = renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0;
    if (!done && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        MARK("store.exchange_in_two");
        done = rename(path, old) == 0 && rename(fresh, path) == 0;
    }
    if (!done) {
        return reason_set(reason,
                          error_from_errno(errno),
                          "cannot put the new store in the place of %s: %s",
                          path,
                          strerrordesc_np(errno));
    }
    enum error error = sync_parent(path);
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot sync the folder of %s", path);
    }
    TRY(remove_folder(fresh, reason));
    return remove_folder(old, reason);
}

static enum error make_folder(const char *path, struct reason *reason)
{
    if (mkdir(path, FOLDER_MODE) != 0) {
        return reason_set(
            reason, error_from_errno(errno), "cannot make %s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

/* A store's folder has these two files and nothing else. */
static enum error remove_folder(const char *path, struct reason *reason)
{
    static const char *const FILES[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        char file[PATH_SIZE + 16];
        (void)snprintf(file, sizeof(file), "%s/%s", path, FILES[i]);
        if (unlink(file) != 0 && errno != ENOENT) {
            return reason_set(reason, error_from_errno(errno), "cannot remove %s", file);
        }
    }
    if (rmdir(path) != 0 && errno != ENOENT) {
        return reason_set(reason, error_from_errno(errno), "cannot remove %s", path);
    }
    return ERR_OK;
}

static enum error sync_parent(const char *path)
{
    char parent[PATH_SIZE];
    beside(path, "", parent);
    char *slash = strrchr(parent, '/');
    CHECK(slash != NULL && slash != parent);
    *slash = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    enum error error = fsync(fd) == 0 ? ERR_OK : error_from_errno(errno);
    (void)close(fd);
    return error;
}

static void beside(const char *path, const char *suffix, char *path_out)
{
    int len = snprintf(path_out, PATH_SIZE, "%s%s", path, suffix);
    CHECK(len > 0 && len < PATH_SIZE);
}

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}
