/* SPDX-License-Identifier: Apache-2.0 */
/* Between raft_cluster.c (the loop) and raft_cluster_script.c (what a test does to it). */
#ifndef INDABA_TESTS_SUPPORT_RAFT_CLUSTER_INTERNAL_H
#define INDABA_TESTS_SUPPORT_RAFT_CLUSTER_INTERNAL_H

#include "tests/support/raft_cluster.h"

enum raft_cluster_item {
    ITEM_DELIVER,  /* data: the message; node: its receiver */
    ITEM_COMPLETE, /* number: the write; data: unused */
    ITEM_DEAD,     /* number: the dead node */
    ITEM_READ,     /* data: of raft_cluster_snapshot.c, as the next two */
    ITEM_WRITE,
    ITEM_INSTALL,
};

void raft_cluster_step_node(struct raft_cluster *cluster, uint32_t node, struct raft_event event);
void raft_cluster_boot(struct raft_cluster *cluster, uint32_t node);
void raft_cluster_trace_message(struct raft_cluster *cluster, const struct raft_message *message);
/* What an update asks for that concerns snapshots. */
void raft_cluster_snapshot_update(struct raft_cluster *cluster,
                                  uint32_t node,
                                  const struct raft_update *update);
void raft_cluster_snapshot_task(struct raft_cluster *cluster, const struct sim_item *item);
void raft_cluster_snapshot_drop(const struct sim_item *item);
void raft_cluster_snapshot_crash(struct raft_cluster *cluster, uint32_t node);
void raft_cluster_check_promises(struct raft_cluster *cluster,
                                 uint32_t from,
                                 const struct raft_message *message);
void raft_cluster_check_holders(const struct raft_cluster *cluster,
                                uint64_t term,
                                const struct raft_entry *entry);
bool raft_cluster_is_up(const struct raft_cluster *cluster, uint32_t node);

#endif
