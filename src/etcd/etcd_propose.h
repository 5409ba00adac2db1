/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals of the key-value store, and what becomes of the store's replies. */
#ifndef INDABA_ETCD_ETCD_PROPOSE_H
#define INDABA_ETCD_ETCD_PROPOSE_H

#include "etcd/etcd_op.h"

/* Proposes a batch of operations of the store, for this term of ours alone, and not later than
 * `expires_ms`. */
void etcd_propose(struct etcd *etcd,
                  struct slice ops,
                  uint64_t expires_ms,
                  struct node_port_waiter waiter);
/* Makes the response of a write from the store's reply. False: no such reply. */
bool etcd_write_finish(struct etcd_op *op, struct slice bytes);
/* Puts the store's reply into the operation, for whoever asked. */
void etcd_write_deal(struct etcd_op *op, struct slice bytes);

#endif
