/* SPDX-License-Identifier: Apache-2.0 */
/* Carries writes: see etcd_writes.c. */
#ifndef INDABA_ETCD_ETCD_WRITES_H
#define INDABA_ETCD_ETCD_WRITES_H

#include "etcd/etcd_op.h"

void etcd_writes_init(struct etcd *etcd);
void etcd_writes_deinit(struct etcd *etcd);
bool etcd_writes_can_go(const struct etcd *etcd);
void etcd_writes_flush(struct etcd *etcd);

#endif
