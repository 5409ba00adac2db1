/* SPDX-License-Identifier: Apache-2.0 */
/* Responses of etcd's API written straight as protobuf, from what the store hands out: these are
 * the answers that are frequent or large, and a tree of messages would only be built to be packed.
 * Fields come in any order, as protobuf allows: a header can be written last. Pure. */
#ifndef INDABA_ETCD_ETCD_REPLY_H
#define INDABA_ETCD_ETCD_REPLY_H

#include "state/kv_reply.h"

/* What every response says of who answered. */
struct etcd_identity {
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t term;
};

/* Field 1 of every response. NULL: the header of a response within a transaction, which has only
 * the revision. */
void etcd_reply_put_header(struct buf *out, const struct etcd_identity *identity, int64_t revision);
/* An mvccpb.KeyValue as field `field`. */
void etcd_reply_put_pair(struct buf *out, uint32_t field, const struct kv_pair *pair);
/* An mvccpb.Event as field `field`; `previous` may be NULL. */
void etcd_reply_put_event(struct buf *out,
                          uint32_t field,
                          const struct kv_event *event,
                          const struct kv_pair *previous);

/* The end of a RangeResponse whose pairs (field ETCD_RANGE_PAIR) are already there. */
enum {
    ETCD_RANGE_PAIR = 2
};

void etcd_reply_end_range(struct buf *out,
                          const struct etcd_identity *identity,
                          const struct kv_range_result *result);
/* The whole response to a write that succeeded. ERR_CORRUPT if the reply cannot be read. */
MUST_CHECK enum error
etcd_reply_put(struct buf *out, const struct etcd_identity *identity, const struct kv_reply *reply);

#endif
