/* SPDX-License-Identifier: Apache-2.0 */
/* The data folder of a member:
 *
 *   identity   whose it is (member_identity.h), written once
 *   lock       held by the running process, with its pid
 *   wal/       the write-ahead log
 *   store/     LMDB
 *   snapshots/ the newest snapshots (snapshot_dir.h)
 *
 * `format` makes it, `open` takes it for this process. A folder belongs to one member of one
 * cluster for ever: a member with a new folder is a new member (safety.md 6). */
#ifndef INDABA_STORAGE_MEMBER_DIR_H
#define INDABA_STORAGE_MEMBER_DIR_H

#include "base/reason.h"
#include "storage/member_identity.h"

struct member_dir;

/* Makes the folder (its parent must exist; an empty folder is taken), identity, and an empty log;
 * all durable before it returns. ERR_EXISTS if the folder is not empty; ERR_NO_SPACE, ERR_DENIED,
 * ERR_IO … `wal_segment_bytes` 0 means the default. */
MUST_CHECK enum error member_dir_format(const char *path,
                                        const struct member_identity *identity,
                                        uint64_t wal_segment_bytes,
                                        struct reason *reason);

/* What the caller's configuration says the folder should be; none and NULL mean: not stated. */
struct member_expected {
    struct cluster_id cluster;
    struct member_id member;
    const char *name;
};

/* Locks the folder and checks whose it is. ERR_NOT_FOUND not formatted; ERR_BUSY another process
 * has it; ERR_WRONG_CLUSTER, ERR_WRONG_MEMBER; ERR_CORRUPT, ERR_VERSION of the identity file;
 * ERR_IO … The reason says what to do. */
MUST_CHECK enum error member_dir_open(const char *path,
                                      const struct member_expected *expected,
                                      struct reason *reason,
                                      struct member_dir **dir_out);
/* As member_dir_open, without lock or writing: for reading a stopped member's folder. */
MUST_CHECK enum error
member_dir_inspect(const char *path, struct reason *reason, struct member_identity *identity_out);
/* The process that has the folder now; 0 if none has. For people, and for signals to it. */
long member_dir_holder(const char *path);
/* Releases the lock. */
void member_dir_close(struct member_dir *dir);

/* Borrowed until close. */
const struct member_identity *member_dir_identity(const struct member_dir *dir);
const char *member_dir_wal_path(const struct member_dir *dir);
const char *member_dir_store_path(const struct member_dir *dir);
const char *member_dir_snapshots_path(const struct member_dir *dir);

#endif
