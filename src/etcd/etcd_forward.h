/* SPDX-License-Identifier: Apache-2.0 */
/* Carries operations to the leader: see etcd_forward.c. */
#ifndef INDABA_ETCD_ETCD_FORWARD_H
#define INDABA_ETCD_ETCD_FORWARD_H

#include "etcd/etcd_op.h"

#define ETCD_RELAY_DO         "/indaba.internal.EtcdRelay/Relay"
#define ETCD_RELAY_READ_INDEX "/indaba.internal.EtcdRelay/ReadIndex"

void etcd_forward_init(struct etcd *etcd);
void etcd_forward_deinit(struct etcd *etcd);
bool etcd_forward_can_go(const struct etcd *etcd);
void etcd_forward_flush(struct etcd *etcd);
/* Ends what waited for an entry that is applied now, or has waited for too long. */
void etcd_forward_show(struct etcd *etcd);
void etcd_forward_check_invariants(const struct etcd *etcd);

#endif
