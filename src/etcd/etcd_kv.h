/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about keys, and what the store wants: the `take` and `query` of methods, and what a
 * transaction nests (etcd_txn.c). */
#ifndef INDABA_ETCD_ETCD_KV_H
#define INDABA_ETCD_ETCD_KV_H

#include "etcd/etcd_op.h"

enum {
    ETCD_LEASE_TTL_MIN = 1
};

enum etcd_error etcd_error_of_kv(enum kv_error error);
enum etcd_error etcd_kv_take_put(struct etcd_op *op);
enum etcd_error etcd_kv_take_delete(struct etcd_op *op);
enum etcd_error etcd_kv_take_compact(struct etcd_op *op);
enum etcd_error etcd_kv_take_grant(struct etcd_op *op);
enum etcd_error etcd_kv_take_revoke(struct etcd_op *op);
enum etcd_error etcd_txn_take(struct etcd_op *op);
bool etcd_kv_range_is_local(const struct etcd_op *op);
void etcd_kv_range(struct etcd_op *op, const struct tables *tables);
struct kv_op_put etcd_kv_put_of(const Etcdserverpb__PutRequest *request);
struct kv_op_delete etcd_kv_delete_of(const Etcdserverpb__DeleteRangeRequest *request);
struct kv_op_range etcd_kv_range_of(const Etcdserverpb__RangeRequest *request);

#endif
