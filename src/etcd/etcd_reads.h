/* SPDX-License-Identifier: Apache-2.0 */
/* Carries reads: see etcd_reads.c. */
#ifndef INDABA_ETCD_ETCD_READS_H
#define INDABA_ETCD_ETCD_READS_H

#include "etcd/etcd_op.h"

void etcd_reads_init(struct etcd *etcd);
void etcd_reads_deinit(struct etcd *etcd);
/* Whether any can be brought now; the rest waits for something in flight to come back. */
bool etcd_reads_can_go(const struct etcd *etcd);
void etcd_reads_flush(struct etcd *etcd);
/* Reads that are answered once this member has applied `index`. */
void etcd_reads_at(struct etcd *etcd, struct etcd_ops *ops, uint64_t index);
void etcd_reads_check_invariants(const struct etcd *etcd);

#endif
