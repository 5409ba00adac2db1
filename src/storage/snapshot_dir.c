/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_dir.h. A name is given by rename after the sync of the bytes, and is durable after
 * the sync of the folder: a whole name never stands for half a file. */
#include "storage/snapshot_dir.h"

#include "base/check.h"
#include "base/failpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOUND_MAX = SNAPSHOT_LIST_MAX,
    DIGITS = 16,
    KEEP = 2
};

static const char WHOLE[] = ".snap";
static const char PART[] = ".part";
static const char TAKING[] = "taking.tmp";

struct found {
    struct snapshot_info infos[FOUND_MAX]; /* sizes are not filled in */
    bool whole[FOUND_MAX];
    uint32_t count;
};

static void name_path(const struct snapshot_dir *dir,
                      const struct snapshot_info *info,
                      const char *suffix,
                      char path_out[SNAPSHOT_PATH_SIZE]);
static void taking_path(const struct snapshot_dir *dir, char path_out[SNAPSHOT_PATH_SIZE]);
static enum error find_all(const struct snapshot_dir *dir, struct found *found_out);
static void collect(const char *name, void *visit_ctx);
static bool parse(const char *name, const char *suffix, struct snapshot_info *info_out);
static enum error fill_size(const struct snapshot_dir *dir, const char *path, uint64_t *size_out);
static enum error verify(const struct snapshot_dir *dir,
                         const struct snapshot_info *info,
                         struct cluster_id cluster,
                         struct reason *reason);
static enum error sync_file(const struct snapshot_dir *dir, const char *path);
static bool is_there(const struct snapshot_dir *dir, const char *path);
static enum error remove_file(const struct snapshot_dir *dir, const char *path);
static enum error remove_others(const struct snapshot_dir *dir, const struct snapshot_info *kept);
static enum error publish(const struct snapshot_dir *dir, const char *from, const char *to);
static struct snapshot_info newest_of(const struct found *found, bool whole, uint64_t below);

enum error snapshot_dir_scan(const struct snapshot_dir *dir,
                             struct reason *reason,
                             struct snapshot_info *newest_out,
                             struct snapshot_info *partial_out)
{
    struct found found = {.count = 0};
    char path[SNAPSHOT_PATH_SIZE];
    taking_path(dir, path);
    enum error error = remove_file(dir, path);
    if (error == ERR_OK) {
        error = find_all(dir, &found);
    }
    struct snapshot_info newest = newest_of(&found, true, UINT64_MAX);
    struct snapshot_info partial = newest_of(&found, false, UINT64_MAX);
    for (uint32_t i = 0; i < found.count && error == ERR_OK; i++) {
        if (!found.whole[i] && found.infos[i].index != partial.index) {
            name_path(dir, &found.infos[i], PART, path);
            error = remove_file(dir, path);
        }
    }
    if (error == ERR_OK && newest.index != 0) {
        error = remove_others(dir, &newest);
    }
    if (error == ERR_OK && newest.index != 0) {
        name_path(dir, &newest, WHOLE, path);
        error = fill_size(dir, path, &newest.size);
    }
    if (error == ERR_OK && partial.index != 0) {
        name_path(dir, &partial, PART, path);
        error = fill_size(dir, path, &partial.size);
    }
    if (error != ERR_OK) {
        return reason_set(
            reason, error, "cannot read the snapshots in %s: %s", dir->path, error_text(error));
    }
    *newest_out = newest;
    *partial_out = partial;
    return ERR_OK;
}

enum error snapshot_dir_list(const struct snapshot_dir *dir,
                             struct reason *reason,
                             struct snapshot_list *list_out)
{
    struct found found = {.count = 0};
    struct snapshot_list list = {.count = 0};
    enum error error = find_all(dir, &found);
    if (error != ERR_OK) {
        return reason_set(
            reason, error, "cannot read the snapshots in %s: %s", dir->path, error_text(error));
    }
    struct snapshot_info next = newest_of(&found, true, UINT64_MAX);
    while (next.index != 0) {
        list.infos[list.count++] = next;
        next = newest_of(&found, true, next.index);
    }
    *list_out = list;
    return ERR_OK;
}

enum error snapshot_dir_take(const struct snapshot_dir *dir,
                             const struct snapshot_header *header,
                             const struct tables *tables,
                             struct reason *reason,
                             struct snapshot_info *info_out)
{
    struct snapshot_info info = {.index = header->index, .term = header->term};
    char path[SNAPSHOT_PATH_SIZE];
    char name[SNAPSHOT_PATH_SIZE];
    taking_path(dir, path);
    name_path(dir, &info, WHOLE, name);
    enum error error = FAILPOINT_AROUND(
        "snapshot.write", snapshot_file_write(dir->disk, path, header, tables, &info.size));
    if (error == ERR_OK) {
        error = FAILPOINT_AROUND("snapshot.publish", publish(dir, path, name));
    }
    if (error == ERR_OK) {
        error = remove_others(dir, &info);
    }
    if (error != ERR_OK) {
        (void)remove_file(dir, path);
        return reason_set(reason, error, "cannot write snapshot %s: %s", name, error_text(error));
    }
    *info_out = info;
    return ERR_OK;
}

enum error snapshot_dir_read(const struct snapshot_dir *dir,
                             uint64_t index,
                             uint64_t offset,
                             uint32_t length,
                             struct blob **chunk_out)
{
    const struct disk *disk = dir->disk;
    struct found found = {.count = 0};
    TRY(find_all(dir, &found));
    struct snapshot_info info = {0};
    for (uint32_t i = 0; i < found.count; i++) {
        if (found.whole[i] && found.infos[i].index == index) {
            info = found.infos[i];
        }
    }
    if (info.index == 0) {
        return ERR_NOT_FOUND;
    }
    char path[SNAPSHOT_PATH_SIZE];
    int file = -1;
    uint64_t size = 0;
    name_path(dir, &info, WHOLE, path);
    TRY(disk->open(disk->ctx, path, DISK_OPEN_READ, &file));
    enum error error = disk->size(disk->ctx, file, &size);
    struct buf bytes = {0};
    if (error == ERR_OK && offset < size) {
        uint64_t left = size - offset;
        size_t want = left < length ? (size_t)left : length;
        buf_reserve(&bytes, want);
        error = disk->read(disk->ctx, file, bytes.data, want, offset);
        bytes.len = want;
    }
    disk->close(disk->ctx, file);
    if (error == ERR_OK) {
        *chunk_out = blob_new(buf_view(&bytes));
    }
    buf_deinit(&bytes);
    return error;
}

enum error snapshot_dir_receive(const struct snapshot_dir *dir,
                                const struct snapshot_info *info,
                                uint64_t offset,
                                struct slice chunk)
{
    const struct disk *disk = dir->disk;
    char path[SNAPSHOT_PATH_SIZE];
    name_path(dir, info, PART, path);
    if (offset == 0) {
        struct found found = {.count = 0};
        TRY(find_all(dir, &found));
        for (uint32_t i = 0; i < found.count; i++) {
            if (!found.whole[i]) {
                char other[SNAPSHOT_PATH_SIZE];
                name_path(dir, &found.infos[i], PART, other);
                TRY(remove_file(dir, other));
            }
        }
    }
    int file = -1;
    uint64_t size = 0;
    TRY(disk->open(disk->ctx, path, offset == 0 ? DISK_CREATE : DISK_OPEN_EXISTING, &file));
    enum error error = disk->size(disk->ctx, file, &size);
    if (error == ERR_OK && size < offset) {
        error = ERR_PRECONDITION;
    }
    if (error == ERR_OK && chunk.len > 0) {
        error = FAILPOINT_AROUND("snapshot.receive",
                                 disk->write(disk->ctx, file, chunk.data, chunk.len, offset));
    }
    disk->close(disk->ctx, file);
    return error;
}

enum error snapshot_dir_accept(const struct snapshot_dir *dir,
                               const struct snapshot_info *info,
                               struct cluster_id cluster,
                               struct reason *reason)
{
    const struct disk *disk = dir->disk;
    char part[SNAPSHOT_PATH_SIZE];
    char name[SNAPSHOT_PATH_SIZE];
    name_path(dir, info, PART, part);
    name_path(dir, info, WHOLE, name);
    enum error error = verify(dir, info, cluster, reason);
    if (error == ERR_NOT_FOUND && is_there(dir, name)) {
        error = disk->sync_dir(disk->ctx, dir->path);
    } else if (error != ERR_OK) {
        return error;
    } else {
        error = FAILPOINT_AROUND("snapshot.sync", sync_file(dir, part));
        if (error == ERR_OK) {
            error = FAILPOINT_AROUND("snapshot.accept", publish(dir, part, name));
        }
    }
    if (error == ERR_OK) {
        error = remove_others(dir, info);
    }
    return error == ERR_OK
               ? ERR_OK
               : reason_set(reason, error, "cannot keep snapshot %s: %s", name, error_text(error));
}

void snapshot_dir_path(const struct snapshot_dir *dir,
                       const struct snapshot_info *info,
                       char path_out[SNAPSHOT_PATH_SIZE])
{
    name_path(dir, info, WHOLE, path_out);
}

static void name_path(const struct snapshot_dir *dir,
                      const struct snapshot_info *info,
                      const char *suffix,
                      char path_out[SNAPSHOT_PATH_SIZE])
{
    CHECK(info->index > 0);
    int len = snprintf(path_out,
                       SNAPSHOT_PATH_SIZE,
                       "%s/%016" PRIx64 "-%016" PRIx64 "%s",
                       dir->path,
                       info->index,
                       info->term,
                       suffix);
    CHECK(len > 0 && len < SNAPSHOT_PATH_SIZE);
}

static void taking_path(const struct snapshot_dir *dir, char path_out[SNAPSHOT_PATH_SIZE])
{
    int len = snprintf(path_out, SNAPSHOT_PATH_SIZE, "%s/%s", dir->path, TAKING);
    CHECK(len > 0 && len < SNAPSHOT_PATH_SIZE);
}

static enum error find_all(const struct snapshot_dir *dir, struct found *found_out)
{
    return dir->disk->list(dir->disk->ctx, dir->path, collect, found_out);
}

static void collect(const char *name, void *visit_ctx)
{
    struct found *found = visit_ctx;
    struct snapshot_info info = {0};
    bool whole = parse(name, WHOLE, &info);
    if ((whole || parse(name, PART, &info)) && found->count < FOUND_MAX) {
        found->infos[found->count] = info;
        found->whole[found->count] = whole;
        found->count++;
    }
}

static bool parse(const char *name, const char *suffix, struct snapshot_info *info_out)
{
    static const char HEX[] = "0123456789abcdef";
    if (strlen(name) != 2 * DIGITS + 1 + strlen(suffix) || strspn(name, HEX) != DIGITS ||
        name[DIGITS] != '-' || strspn(name + DIGITS + 1, HEX) != DIGITS ||
        strcmp(name + (size_t)2 * DIGITS + 1, suffix) != 0) {
        return false;
    }
    info_out->index = strtoull(name, NULL, 16);
    info_out->term = strtoull(name + DIGITS + 1, NULL, 16);
    return info_out->index > 0 && info_out->term > 0;
}

static enum error fill_size(const struct snapshot_dir *dir, const char *path, uint64_t *size_out)
{
    const struct disk *disk = dir->disk;
    int file = -1;
    TRY(disk->open(disk->ctx, path, DISK_OPEN_READ, &file));
    enum error error = disk->size(disk->ctx, file, size_out);
    disk->close(disk->ctx, file);
    return error;
}

/* The received file. */
static enum error verify(const struct snapshot_dir *dir,
                         const struct snapshot_info *info,
                         struct cluster_id cluster,
                         struct reason *reason)
{
    struct snapshot_header header;
    char part[SNAPSHOT_PATH_SIZE];
    name_path(dir, info, PART, part);
    enum error error = snapshot_file_load(dir->disk, part, reason, &header, NULL);
    if (error == ERR_OK && !cluster_id_equal(header.cluster, cluster)) {
        error = reason_set(reason, ERR_WRONG_CLUSTER, "snapshot %s is of another cluster", part);
    }
    if (error == ERR_OK && (header.index != info->index || header.term != info->term)) {
        error = reason_set(reason, ERR_CORRUPT, "snapshot %s is not what it was sent as", part);
    }
    if (error == ERR_CORRUPT || error == ERR_WRONG_CLUSTER) {
        (void)remove_file(dir, part);
    }
    return error;
}

/* After a failed sync nobody knows what the disk has: the file goes. */
static enum error sync_file(const struct snapshot_dir *dir, const char *path)
{
    const struct disk *disk = dir->disk;
    int file = -1;
    TRY(disk->open(disk->ctx, path, DISK_OPEN_EXISTING, &file));
    enum error error = disk->sync(disk->ctx, file);
    disk->close(disk->ctx, file);
    if (error != ERR_OK) {
        (void)remove_file(dir, path);
    }
    return error;
}

static bool is_there(const struct snapshot_dir *dir, const char *path)
{
    uint64_t size;
    return fill_size(dir, path, &size) == ERR_OK;
}

static enum error remove_file(const struct snapshot_dir *dir, const char *path)
{
    enum error error = dir->disk->remove(dir->disk->ctx, path);
    return error == ERR_NOT_FOUND ? ERR_OK : error;
}

/* Keeps the newest KEEP ones up to `kept`; what is newer is another thread's. */
static enum error remove_others(const struct snapshot_dir *dir, const struct snapshot_info *kept)
{
    struct found found = {.count = 0};
    TRY(find_all(dir, &found));
    uint64_t floor = kept->index;
    for (uint32_t i = 1; i < KEEP && floor != 0; i++) {
        floor = newest_of(&found, true, floor).index;
    }
    for (uint32_t i = 0; i < found.count; i++) {
        if (found.whole[i] && found.infos[i].index < floor) {
            char path[SNAPSHOT_PATH_SIZE];
            name_path(dir, &found.infos[i], WHOLE, path);
            TRY(remove_file(dir, path));
        }
    }
    return ERR_OK;
}

static enum error publish(const struct snapshot_dir *dir, const char *from, const char *to)
{
    TRY(dir->disk->rename(dir->disk->ctx, from, to));
    return dir->disk->sync_dir(dir->disk->ctx, dir->path);
}

/* Index 0 if there is none below `below`. */
static struct snapshot_info newest_of(const struct found *found, bool whole, uint64_t below)
{
    struct snapshot_info newest = {0};
    for (uint32_t i = 0; i < found->count; i++) {
        const struct snapshot_info *info = &found->infos[i];
        if (found->whole[i] == whole && info->index < below && info->index > newest.index) {
            newest = *info;
        }
    }
    return newest;
}
