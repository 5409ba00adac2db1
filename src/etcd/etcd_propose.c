/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_propose.h. */
#include "etcd/etcd_propose.h"

#include "base/check.h"
#include "etcd/etcd_kv.h"

void etcd_propose(struct etcd *etcd,
                  struct slice ops,
                  uint64_t expires_ms,
                  struct node_port_waiter waiter)
{
    node_port_propose_keys(etcd->port, ops, expires_ms, waiter);
    etcd->commit_unsaid = false; /* the entry says it */
}

bool etcd_write_finish(struct etcd_op *op, struct slice bytes)
{
    struct reader reader = reader_of(bytes);
    struct kv_reply reply;
    if (!kv_reply_next(&reader, &reply) || reader_finish(&reader) != ERR_OK) {
        return false;
    }
    op->error = etcd_error_of_kv(reply.error);
    return op->error != ETCD_OK || etcd_reply_put(&op->reply, &op->identity, &reply) == ERR_OK;
}

void etcd_write_deal(struct etcd_op *op, struct slice bytes)
{
    if (op->passed_on) {
        buf_append(&op->reply, bytes.data, bytes.len);
    } else {
        CHECK(etcd_write_finish(op, bytes));
    }
}
