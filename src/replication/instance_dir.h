/* SPDX-License-Identifier: Apache-2.0 */
/* Whose folder an instance's folder is. One sidecar at a time holds it (a lock of the kernel, gone
 * with the process; the guardian below does not inherit it), and it belongs for ever to one shard,
 * one instance name and, from the first welcome on, one cluster: two sidecars on one folder, or a
 * folder given to another instance, would make two primaries out of one data folder. */
#ifndef INDABA_REPLICATION_INSTANCE_DIR_H
#define INDABA_REPLICATION_INSTANCE_DIR_H

#include "base/error.h"
#include "base/ids.h"

struct instance_dir;

/* Locks `state_dir` (absolute, there) for this process and checks that it is the folder of this
 * instance; a folder without an owner becomes its. ERR_BUSY: another sidecar has it;
 * ERR_WRONG_MEMBER: it is another instance's; ERR_CORRUPT: its identity cannot be read; errors of
 * the disk. `errmsg` (SIDECAR_ERROR_SIZE bytes) says which file, what is wrong and what to do. */
MUST_CHECK enum error instance_dir_open(const char *state_dir,
                                        const char *shard,
                                        const char *name,
                                        char *errmsg,
                                        struct instance_dir **dir_out);
/* Gives the lock back. NULL is ignored. */
void instance_dir_close(struct instance_dir *dir);

/* Binds the folder to this cluster, durably, if it is bound to none. ERR_WRONG_CLUSTER: it is bound
 * to another one; errors of the disk. */
MUST_CHECK enum error instance_dir_join(struct instance_dir *dir, struct cluster_id cluster);

/* The cluster it is bound to; zero before the first join. */
struct cluster_id instance_dir_cluster(const struct instance_dir *dir);

#endif
