/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a member's snapshots. At rest it holds the newest one, and the one before it for a
 * peer that is being sent it:
 *
 *   INDEX-TERM.snap   whole and synced, or it would not have this name (hex, 16 digits each)
 *   INDEX-TERM.part   being received; survives a restart, is trusted only when it is accepted
 *   taking.tmp        being written; removed at start
 *
 * Blocking; calls may come from several threads as long as no two touch the same file. */
#ifndef INDABA_STORAGE_SNAPSHOT_DIR_H
#define INDABA_STORAGE_SNAPSHOT_DIR_H

#include "base/reason.h"
#include "storage/snapshot_file.h"

enum {
    SNAPSHOT_PATH_SIZE = 512,
    SNAPSHOT_LIST_MAX = 16
};

/* A file of the folder; index 0: there is none. */
struct snapshot_info {
    uint64_t index;
    uint64_t term;
    uint64_t size;
};

struct snapshot_dir {
    const struct disk *disk;
    const char *path; /* an existing folder; borrowed */
};

/* What is there at start: the newest whole snapshot and the newest one under construction.
 * Leftovers and older ones are removed, save the whole one before the newest: nobody has read that
 * yet. */
MUST_CHECK enum error snapshot_dir_scan(const struct snapshot_dir *dir,
                                        struct reason *reason,
                                        struct snapshot_info *newest_out,
                                        struct snapshot_info *partial_out);

/* The whole ones, the newest first; sizes are not filled in. Removes nothing. */
struct snapshot_list {
    struct snapshot_info infos[SNAPSHOT_LIST_MAX];
    uint32_t count;
};

MUST_CHECK enum error snapshot_dir_list(const struct snapshot_dir *dir,
                                        struct reason *reason,
                                        struct snapshot_list *list_out);

/* Writes a snapshot of `tables`; durable, under its name, when it returns ERR_OK. Older ones than
 * the one before it are removed then. */
MUST_CHECK enum error snapshot_dir_take(const struct snapshot_dir *dir,
                                        const struct snapshot_header *header,
                                        const struct tables *tables,
                                        struct reason *reason,
                                        struct snapshot_info *info_out);

/* `length` bytes (fewer at the end) at `offset` of the snapshot `index`, a reference for the
 * caller. ERR_NOT_FOUND if it is not there (any more). */
MUST_CHECK enum error snapshot_dir_read(const struct snapshot_dir *dir,
                                        uint64_t index,
                                        uint64_t offset,
                                        uint32_t length,
                                        struct blob **chunk_out);

/* Writes a chunk of the file under construction; offset 0 begins it anew and removes any other.
 * Not synced. ERR_PRECONDITION if the file does not reach `offset`. */
MUST_CHECK enum error snapshot_dir_receive(const struct snapshot_dir *dir,
                                           const struct snapshot_info *info,
                                           uint64_t offset,
                                           struct slice chunk);

/* Checks the received file whole, and that it is `info` of this cluster, syncs it and gives it its
 * name. ERR_CORRUPT, ERR_WRONG_CLUSTER, a failed sync: it is removed. After any other error this
 * may be called again; a file that has its name by then is not read again. ERR_NOT_FOUND: there is
 * no such file. */
MUST_CHECK enum error snapshot_dir_accept(const struct snapshot_dir *dir,
                                          const struct snapshot_info *info,
                                          struct cluster_id cluster,
                                          struct reason *reason);

/* Path of a whole snapshot, for snapshot_file_load and _header. */
void snapshot_dir_path(const struct snapshot_dir *dir,
                       const struct snapshot_info *info,
                       char path_out[SNAPSHOT_PATH_SIZE]);

#endif
