/* SPDX-License-Identifier: Apache-2.0 */
/* Cluster and Maintenance: the `answer` of their methods. */
#ifndef INDABA_ETCD_ETCD_MEMBERS_H
#define INDABA_ETCD_ETCD_MEMBERS_H

#include "etcd/etcd_op.h"

void etcd_members_list(struct etcd_op *op);
void etcd_members_status(struct etcd_op *op);
void etcd_members_alarm(struct etcd_op *op);
void etcd_members_defragment(struct etcd_op *op);
void etcd_members_hash(struct etcd_op *op);
void etcd_members_move_leader(struct etcd_op *op);

#endif
