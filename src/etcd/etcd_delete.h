/* SPDX-License-Identifier: Apache-2.0 */
/* Deletions of more keys than one entry of the log may delete: see etcd_delete.c. */
#ifndef INDABA_ETCD_ETCD_DELETE_H
#define INDABA_ETCD_ETCD_DELETE_H

#include "etcd/etcd_op.h"

/* Owns an operation that the store refused for its size; false: not of this kind. */
bool etcd_delete_in_parts(struct etcd_op *op);

#endif
