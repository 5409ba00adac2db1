/* SPDX-License-Identifier: Apache-2.0 */
/* Whose folder an instance's folder is. One sidecar at a time holds it (a lock of the kernel, gone
 * with the process; the guardian below does not inherit it), and it belongs for ever to one shard,
 * one instance name and, from the first welcome on, one cluster: two sidecars on one folder, or a
 * folder given to another instance, would make two primaries out of one data folder. */
#ifndef INDABA_REPLICATION_INSTANCE_DIR_H
#define INDABA_REPLICATION_INSTANCE_DIR_H

#include "base/reason.h"
#include "model/records.h"
#include "replication/kept_file.h"

struct instance_dir;

/* What the file `identity` says, of struct instance_identity. */
struct instance_identity {
    char shard[NAME_SIZE];
    char name[NAME_SIZE];
    struct cluster_id cluster; /* zero: of none yet */
};

extern const struct kept_format INSTANCE_IDENTITY;

/* Locks `state_dir` (absolute, there) for this process and checks that it is the folder of this
 * instance; a folder without an owner becomes its. ERR_BUSY: another sidecar has it;
 * ERR_WRONG_MEMBER: it is another instance's; ERR_CORRUPT: its identity cannot be read; errors of
 * the disk. `reason` says which file, what is wrong and what to do. */
MUST_CHECK enum error instance_dir_open(const char *state_dir,
                                        const char *shard,
                                        const char *name,
                                        struct reason *reason,
                                        struct instance_dir **dir_out);
/* Gives the lock back. NULL is ignored. */
void instance_dir_close(struct instance_dir *dir);

/* Whether it is bound to this cluster: ERR_WRONG_CLUSTER: to another one; ERR_NOT_FOUND: to none
 * yet. Then the identity with which it would be is kept, and told once that is durable. */
MUST_CHECK enum error instance_dir_belongs(const struct instance_dir *dir,
                                           struct cluster_id cluster);
const char *instance_dir_path(const struct instance_dir *dir);
struct instance_identity instance_dir_identity(const struct instance_dir *dir,
                                               struct cluster_id cluster);
void instance_dir_joined(struct instance_dir *dir, struct cluster_id cluster);

/* The cluster it is bound to; zero before the first join. */
struct cluster_id instance_dir_cluster(const struct instance_dir *dir);

#endif
