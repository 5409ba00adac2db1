/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a batch: one reply for each of its operations (none for KV_OP_ACTOR), in order, in a
 * compact encoding that can leave the apply thread, and pass between members. Reading borrows from
 * the bytes; what nests is read with the same functions. */
#ifndef INDABA_STATE_KV_REPLY_H
#define INDABA_STATE_KV_REPLY_H

#include "state/kv.h"

struct kv_reply {
    enum kv_op_kind kind; /* of the operation */
    enum kv_error error;  /* KV_OK, or nothing below but `revision` counts */
    int64_t revision;     /* for the header: of the change; of the store if nothing changed */
    int64_t count;        /* RANGE: as in kv_range_result. DELETE: how many there were */
    bool more;            /* RANGE */
    bool succeeded;       /* TXN */
    int64_t lease_id;     /* LEASE_GRANT, LEASE_REVOKE */
    int64_t lease_ttl;    /* LEASE_GRANT */
    struct slice pairs;   /* RANGE: the pairs. PUT, DELETE: what was there before, if asked for */
    struct slice replies; /* TXN: of the branch that was taken */
};

/* Both read the next one; false at the end, and for bytes that are none: reader_finish tells. */
bool kv_reply_next(struct reader *reader, struct kv_reply *reply_out);
bool kv_pair_next(struct reader *reader, struct kv_pair *pair_out);

/* Append. */
void kv_reply_encode(struct buf *out, const struct kv_reply *reply);
void kv_pair_encode(struct buf *out, const struct kv_pair *pair);

#endif
