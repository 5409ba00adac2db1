/* SPDX-License-Identifier: Apache-2.0 */
/* Which way an operation goes, and the flush that brings a turn's operations together. */
#ifndef INDABA_ETCD_ETCD_ROUTE_H
#define INDABA_ETCD_ETCD_ROUTE_H

#include "etcd/etcd_op.h"

/* Owns the operation until op->done. Never calls it from inside. */
void etcd_route(struct etcd_op *op);
/* The known leader is another one, or none, or this member: what waits goes another way. */
void etcd_route_leader_changed(struct etcd *etcd);
/* Brings what waits; true if there was anything. */
bool etcd_route_flush(struct etcd *etcd);
/* Tries again what waits for a leader, and ends what has waited too long. */
void etcd_route_on_timer(struct etcd *etcd);

#endif
