/* SPDX-License-Identifier: Apache-2.0 */
/* See member_dir.h. */
#include "storage/member_dir.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/plain_file.h"
#include "storage/disk.h"
#include "storage/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 900, /* leaves room for the names inside it */
    INNER_PATH_SIZE = 1000,
    PID_TEXT_SIZE = 24
};

struct member_dir {
    struct member_identity identity;
    char wal_path[INNER_PATH_SIZE];
    char store_path[INNER_PATH_SIZE];
    char snapshots_path[INNER_PATH_SIZE];
    int lock;
};

static char *inner_path(const char *path, const char *name, char *inner);
static enum error make_empty_folder(const char *path, struct reason *reason);
static enum error make_folder(const char *path, struct reason *reason);
static enum error
write_identity(const char *path, const struct member_identity *identity, struct reason *reason);
static enum error sync_folder(const char *path, struct reason *reason);
static enum error sync_parent(const char *path, struct reason *reason);
static enum error
read_identity(const char *path, struct reason *reason, struct member_identity *identity_out);
static enum error take_lock(const char *path, struct reason *reason, int *lock_out);
static enum error refuse_busy(const char *path, int lock, struct reason *reason);
static enum error check_expected(const char *path,
                                 const struct member_identity *identity,
                                 const struct member_expected *expected,
                                 struct reason *reason);

enum error member_dir_format(const char *path,
                             const struct member_identity *identity,
                             uint64_t wal_segment_bytes,
                             struct reason *reason)
{
    if (strlen(path) >= PATH_SIZE) {
        return reason_set(reason, ERR_LIMIT, "the folder's path is too long: %.100s…", path);
    }
    if (!member_name_is_valid(identity->name)) {
        return reason_set(reason,
                          ERR_INVALID,
                          "a member's name has 1 to 63 letters, digits, dots, dashes, underscores");
    }
    char wal[INNER_PATH_SIZE];
    char store[INNER_PATH_SIZE];
    TRY(make_empty_folder(path, reason));
    TRY(make_folder(inner_path(path, "wal", wal), reason));
    TRY(make_folder(inner_path(path, "store", store), reason));
    struct wal_options options = {
        .disk = disk_real(),
        .path = wal,
        .cluster = identity->cluster,
        .member = identity->member,
        .segment_bytes = wal_segment_bytes,
    };
    TRY(wal_format(&options, reason));
    /* The identity comes last: a folder that has one is whole. */
    TRY(write_identity(path, identity, reason));
    return sync_parent(path, reason);
}

enum error member_dir_open(const char *path,
                           const struct member_expected *expected,
                           struct reason *reason,
                           struct member_dir **dir_out)
{
    struct member_identity identity = {0};
    TRY(read_identity(path, reason, &identity));
    int lock = -1;
    enum error error = check_expected(path, &identity, expected, reason);
    if (error == ERR_OK) {
        error = take_lock(path, reason, &lock);
    }
    if (error != ERR_OK) {
        member_identity_deinit(&identity);
        return error;
    }
    struct member_dir *dir = mem_new(sizeof(*dir));
    dir->identity = identity;
    dir->lock = lock;
    inner_path(path, "wal", dir->wal_path);
    inner_path(path, "store", dir->store_path);
    inner_path(path, "snapshots", dir->snapshots_path);
    /* Not part of what makes a folder whole: folders of earlier versions have none. */
    if (mkdir(dir->snapshots_path, 0700) != 0 && errno != EEXIST) {
        error = reason_set(reason,
                           error_from_errno(errno),
                           "cannot make %s: %s",
                           dir->snapshots_path,
                           strerrordesc_np(errno));
        member_dir_close(dir);
        return error;
    }
    *dir_out = dir;
    return ERR_OK;
}

enum error
member_dir_inspect(const char *path, struct reason *reason, struct member_identity *identity_out)
{
    return read_identity(path, reason, identity_out);
}

void member_dir_close(struct member_dir *dir)
{
    (void)close(dir->lock);
    member_identity_deinit(&dir->identity);
    mem_free(dir);
}

const struct member_identity *member_dir_identity(const struct member_dir *dir)
{
    return &dir->identity;
}

const char *member_dir_wal_path(const struct member_dir *dir)
{
    return dir->wal_path;
}

const char *member_dir_store_path(const struct member_dir *dir)
{
    return dir->store_path;
}

const char *member_dir_snapshots_path(const struct member_dir *dir)
{
    return dir->snapshots_path;
}

static char *inner_path(const char *path, const char *name, char *inner)
{
    int len = snprintf(inner, INNER_PATH_SIZE, "%s/%s", path, name);
    CHECK(len > 0 && len < INNER_PATH_SIZE);
    return inner;
}

static void count_name(const char *name, void *visit_ctx)
{
    (void)name;
    int *count = visit_ctx;
    (*count)++;
}

static enum error make_empty_folder(const char *path, struct reason *reason)
{
    if (mkdir(path, 0700) == 0) {
        return ERR_OK;
    }
    if (errno != EEXIST) {
        enum error error = error_from_errno(errno);
        return reason_set(reason,
                          error,
                          "cannot make the data folder %s: %s; its parent must exist and be "
                          "writable",
                          path,
                          error_text(error));
    }
    int count = 0;
    enum error error = disk_real()->list(NULL, path, count_name, &count);
    if (error != ERR_OK) {
        return reason_set(
            reason, error, "cannot read the data folder %s: %s", path, error_text(error));
    }
    if (count > 0) {
        return reason_set(reason,
                          ERR_EXISTS,
                          "%s is not empty: a member is formatted into an empty folder only, so "
                          "that no data is overwritten; name another folder, or move this one away",
                          path);
    }
    return ERR_OK;
}

static enum error make_folder(const char *path, struct reason *reason)
{
    if (mkdir(path, 0700) == 0) {
        return ERR_OK;
    }
    enum error error = error_from_errno(errno);
    return reason_set(reason, error, "cannot make the folder %s: %s", path, error_text(error));
}

static enum error
write_identity(const char *path, const struct member_identity *identity, struct reason *reason)
{
    const struct disk *disk = disk_real();
    char draft[INNER_PATH_SIZE];
    char final[INNER_PATH_SIZE];
    inner_path(path, "identity.tmp", draft);
    inner_path(path, "identity", final);
    struct buf text = {0};
    member_identity_encode(identity, &text);

    int file;
    enum error error = disk->open(disk->ctx, draft, DISK_CREATE, &file);
    if (error == ERR_OK) {
        error = disk->write(disk->ctx, file, text.data, text.len, 0);
        if (error == ERR_OK) {
            error = disk->sync(disk->ctx, file);
        }
        disk->close(disk->ctx, file);
    }
    buf_deinit(&text);
    if (error == ERR_OK) {
        error = disk->rename(disk->ctx, draft, final);
    }
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot write %s: %s", final, error_text(error));
    }
    return sync_folder(path, reason);
}

static enum error sync_folder(const char *path, struct reason *reason)
{
    enum error error = disk_real()->sync_dir(NULL, path);
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot sync folder %s: %s", path, error_text(error));
    }
    return ERR_OK;
}

static enum error sync_parent(const char *path, struct reason *reason)
{
    char parent[INNER_PATH_SIZE];
    return sync_folder(inner_path(path, "..", parent), reason);
}

static enum error
read_identity(const char *path, struct reason *reason, struct member_identity *identity_out)
{
    if (strlen(path) >= PATH_SIZE) {
        return reason_set(reason, ERR_LIMIT, "the folder's path is too long: %.100s…", path);
    }
    const struct disk *disk = disk_real();
    char file_path[INNER_PATH_SIZE];
    inner_path(path, "identity", file_path);
    struct buf text = {0};
    uint64_t size = 0;
    int file;
    enum error error = disk->open(disk->ctx, file_path, DISK_OPEN_READ, &file);
    if (error == ERR_OK) {
        error = disk->size(disk->ctx, file, &size);
        if (error == ERR_OK && size > MEMBER_IDENTITY_SIZE_MAX) {
            error = ERR_LIMIT;
        }
        if (error == ERR_OK) {
            buf_reserve(&text, (size_t)size + 1);
            text.len = (size_t)size;
            error = disk->read(disk->ctx, file, text.data, text.len, 0);
        }
        disk->close(disk->ctx, file);
    }
    if (error == ERR_NOT_FOUND) {
        reason_set(
            reason,
            error,
            "%s is not a member's data folder (it has no identity file): run \"indaba member "
            "init\" first, or correct the path",
            path);
    } else if (error != ERR_OK) {
        reason_set(reason, error, "cannot read %s: %s", file_path, error_text(error));
    } else {
        struct reason what;
        error = member_identity_decode(buf_view(&text), &what, identity_out);
        if (error != ERR_OK) {
            reason_set(reason, error, "%s cannot be used: %.300s", file_path, what.text);
        }
    }
    buf_deinit(&text);
    return error;
}

static enum error take_lock(const char *path, struct reason *reason, int *lock_out)
{
    char lock_path[INNER_PATH_SIZE];
    inner_path(path, "lock", lock_path);
    int lock = -1;
    enum error opened = plain_file_open(lock_path, O_RDWR | O_CREAT, 0600, &lock);
    if (opened != ERR_OK) {
        enum error error = opened;
        return reason_set(reason, error, "cannot open %s: %s", lock_path, error_text(error));
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        enum error error =
            errno == EWOULDBLOCK ? refuse_busy(path, lock, reason) : error_from_errno(errno);
        (void)close(lock);
        return error == ERR_BUSY
                   ? error
                   : reason_set(reason, error, "cannot lock %s: %s", lock_path, error_text(error));
    }
    /* The pid is for people only: who holds the lock is decided by the kernel. */
    char text[PID_TEXT_SIZE];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)len, 0) != len) {
        enum error error = error_from_errno(errno);
        (void)close(lock);
        return reason_set(reason, error, "cannot write %s: %s", lock_path, error_text(error));
    }
    *lock_out = lock;
    return ERR_OK;
}

long member_dir_holder(const char *path)
{
    char text[PID_TEXT_SIZE] = {0};
    char lock_path[INNER_PATH_SIZE];
    long pid = 0;
    inner_path(path, "lock", lock_path);
    int lock = -1;
    if (plain_file_open(lock_path, O_RDONLY | O_NOFOLLOW, 0, &lock) != ERR_OK) {
        return 0;
    }
    if (flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
        pread(lock, text, sizeof(text) - 1, 0) > 0) {
        pid = strtol(text, NULL, 10);
    }
    (void)close(lock);
    return pid > 0 ? pid : 0;
}

static enum error refuse_busy(const char *path, int lock, struct reason *reason)
{
    char text[PID_TEXT_SIZE] = {0};
    ssize_t len = pread(lock, text, sizeof(text) - 1, 0);
    text[len > 0 ? strcspn(text, "\n") : 0] = '\0';
    return reason_set(reason,
                      ERR_BUSY,
                      "%s is in use by process %s: stop that member first, or start this one with "
                      "its own folder",
                      path,
                      text[0] != '\0' ? text : "(unknown)");
}

static enum error check_expected(const char *path,
                                 const struct member_identity *identity,
                                 const struct member_expected *expected,
                                 struct reason *reason)
{
    char found[ID128_TEXT_SIZE];
    char wanted[ID128_TEXT_SIZE];
    struct cluster_id cluster = expected->cluster;
    if ((cluster.hi != 0 || cluster.lo != 0) && !cluster_id_equal(cluster, identity->cluster)) {
        return reason_set(reason,
                          ERR_WRONG_CLUSTER,
                          "%s belongs to cluster %s, and the configuration names cluster %s: "
                          "correct the folder or the configuration",
                          path,
                          id128_format(identity->cluster.hi, identity->cluster.lo, found),
                          id128_format(cluster.hi, cluster.lo, wanted));
    }
    struct member_id member = expected->member;
    if (!member_id_is_none(member) && !member_id_equal(member, identity->member)) {
        return reason_set(reason,
                          ERR_WRONG_MEMBER,
                          "%s belongs to member %s, and the configuration names member %s: correct "
                          "the folder or the configuration",
                          path,
                          id128_format(identity->member.hi, identity->member.lo, found),
                          id128_format(member.hi, member.lo, wanted));
    }
    if (expected->name != NULL && strcmp(expected->name, identity->name) != 0) {
        return reason_set(reason,
                          ERR_WRONG_MEMBER,
                          "%s belongs to member \"%s\", and the configuration names \"%.63s\": "
                          "correct the folder or the configuration",
                          path,
                          identity->name,
                          expected->name);
    }
    return ERR_OK;
}
