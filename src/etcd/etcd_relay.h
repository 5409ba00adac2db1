/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's side of passing on: see etcd_relay.c. */
#ifndef INDABA_ETCD_ETCD_RELAY_H
#define INDABA_ETCD_ETCD_RELAY_H

#include "etcd/etcd_op.h"

void etcd_relay_add_methods(struct etcd *etcd, struct server_method *methods, size_t *count);
/* Whom it answered learns of the commit with the next entry, or by this; true if it was needed. */
bool etcd_relay_flush(struct etcd *etcd);

#endif
