/* SPDX-License-Identifier: Apache-2.0 */
/* Leases, as the leader counts them: see etcd_lease.c. */
#ifndef INDABA_ETCD_ETCD_LEASE_H
#define INDABA_ETCD_ETCD_LEASE_H

#include "etcd/etcd_op.h"

void etcd_lease_init(struct etcd *etcd);
void etcd_lease_deinit(struct etcd *etcd);
void etcd_lease_leader_changed(struct etcd *etcd);
/* What was applied, in order. */
void etcd_lease_applied(struct etcd *etcd, const struct kv_reply *reply);
void etcd_lease_tick(struct etcd *etcd);
void etcd_lease_check_invariants(const struct etcd *etcd);

/* The `answer` and `query` of methods. */
void etcd_lease_keep_alive(struct etcd_op *op);
void etcd_lease_time_to_live(struct etcd_op *op);
void etcd_lease_list(struct etcd_op *op, const struct tables *tables);

#endif
