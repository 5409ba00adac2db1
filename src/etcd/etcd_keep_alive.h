/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of keep-alives: see etcd_keep_alive.c. */
#ifndef INDABA_ETCD_ETCD_KEEP_ALIVE_H
#define INDABA_ETCD_ETCD_KEEP_ALIVE_H

#include "etcd/etcd_op.h"

void etcd_keep_alive_init(struct etcd *etcd, struct server_method *methods, size_t *count);
void etcd_keep_alive_deinit(struct etcd *etcd);
/* Ends the streams whose clients need a leader. */
void etcd_keep_alive_no_leader(struct etcd *etcd);

#endif
