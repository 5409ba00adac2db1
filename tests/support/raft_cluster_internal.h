/* SPDX-License-Identifier: Apache-2.0 */
/* Between raft_cluster.c (the loop) and raft_cluster_script.c (what a test does to it). */
#ifndef INDABA_TESTS_SUPPORT_RAFT_CLUSTER_INTERNAL_H
#define INDABA_TESTS_SUPPORT_RAFT_CLUSTER_INTERNAL_H

#include "tests/support/raft_cluster.h"

enum raft_cluster_item {
    ITEM_DELIVER,  /* data: the message; node: its receiver */
    ITEM_COMPLETE, /* number: the write; data: unused */
    ITEM_DEAD,     /* number: the dead node */
};

void raft_cluster_step_node(struct raft_cluster *cluster, uint32_t node, struct raft_event event);
void raft_cluster_boot(struct raft_cluster *cluster, uint32_t node);
void raft_cluster_trace_message(struct raft_cluster *cluster, const struct raft_message *message);
bool raft_cluster_is_up(const struct raft_cluster *cluster, uint32_t node);

#endif
