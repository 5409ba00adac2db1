/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_back.h. Every block of a candidate is read before anything newer is removed. */
#include "storage/snapshot_back.h"

static enum error find_base(const struct snapshot_dir *dir,
                            const struct snapshot_list *list,
                            uint64_t floor,
                            struct reason *reason,
                            struct snapshot_info *base_out);
static enum error
remove_above(const struct snapshot_dir *dir, const struct snapshot_list *list, uint64_t index);

enum error snapshot_back(const struct snapshot_dir *dir,
                         uint64_t first_index,
                         struct reason *reason,
                         struct snapshot_info *base_out)
{
    struct snapshot_list list;
    struct snapshot_info base = {0};
    TRY(snapshot_dir_list(dir, reason, &list));
    if (first_index > 1) {
        TRY(find_base(dir, &list, first_index - 1, reason, &base));
    }
    enum error error = remove_above(dir, &list, base.index);
    if (error != ERR_OK) {
        return reason_set(
            reason, error, "cannot remove snapshots in %s: %s", dir->path, error_text(error));
    }
    *base_out = base;
    return ERR_OK;
}

/* The oldest one at or above `floor` that can be read; the reason is that of the last one that
 * cannot. */
static enum error find_base(const struct snapshot_dir *dir,
                            const struct snapshot_list *list,
                            uint64_t floor,
                            struct reason *reason,
                            struct snapshot_info *base_out)
{
    enum error error = reason_set(
        reason, ERR_CORRUPT, "there is no snapshot in %s after which the log goes on", dir->path);
    for (uint32_t i = list->count; i > 0; i--) {
        const struct snapshot_info *info = &list->infos[i - 1];
        if (info->index < floor) {
            continue;
        }
        struct snapshot_header header;
        char path[SNAPSHOT_PATH_SIZE];
        snapshot_dir_path(dir, info, path);
        error = snapshot_file_load(dir->disk, path, reason, &header, NULL);
        if (error == ERR_OK) {
            *base_out = *info;
            return ERR_OK;
        }
        if (error != ERR_CORRUPT && error != ERR_VERSION) {
            return error;
        }
    }
    return error;
}

static enum error
remove_above(const struct snapshot_dir *dir, const struct snapshot_list *list, uint64_t index)
{
    const struct disk *disk = dir->disk;
    for (uint32_t i = 0; i < list->count && list->infos[i].index > index; i++) {
        char path[SNAPSHOT_PATH_SIZE];
        snapshot_dir_path(dir, &list->infos[i], path);
        enum error error = disk->remove(disk->ctx, path);
        if (error != ERR_OK && error != ERR_NOT_FOUND) {
            return error;
        }
    }
    return disk->sync_dir(disk->ctx, dir->path);
}
