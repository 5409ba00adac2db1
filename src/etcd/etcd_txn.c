/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions of etcd's API into those of the store. Bounded by the size of the request, by the
 * depth that the pre-scan lets through, and by kv_op_check. */
#include "etcd/etcd_kv.h"

#include "base/check.h"

/* A transaction in the making: what it nests, encoded. */
struct parts {
    struct buf compares;
    struct buf success;
    struct buf failure;
};

static enum etcd_error encode_txn(const Etcdserverpb__TxnRequest *request, struct buf *out);
static enum etcd_error encode_branch(Etcdserverpb__RequestOp **ops, size_t count, struct buf *out);
static enum etcd_error encode_op(const Etcdserverpb__RequestOp *request, struct buf *out);
static enum etcd_error encode_compare(const Etcdserverpb__Compare *request, struct buf *out);
static bool target_matches(const Etcdserverpb__Compare *request);

enum etcd_error etcd_txn_take(struct etcd_op *op)
{
    const Etcdserverpb__TxnRequest *request = (const void *)op->message;
    enum etcd_error error = encode_txn(request, &op->encoded);
    if (error != ETCD_OK) {
        return error;
    }
    struct reader reader = reader_of(buf_view(&op->encoded));
    struct kv_op kv;
    CHECK(kv_op_next(&reader, &kv));
    return etcd_error_of_kv(kv_op_check(&kv));
}

static enum etcd_error encode_txn(const Etcdserverpb__TxnRequest *request, struct buf *out)
{
    struct parts parts = {.compares = {0}};
    enum etcd_error error = ETCD_OK;
    if (request->n_compare > KV_TXN_OPS_MAX || request->n_success > KV_TXN_OPS_MAX ||
        request->n_failure > KV_TXN_OPS_MAX) {
        return ETCD_TOO_MANY_OPS;
    }
    for (size_t i = 0; i < request->n_compare && error == ETCD_OK; i++) {
        error = encode_compare(request->compare[i], &parts.compares);
    }
    if (error == ETCD_OK) {
        error = encode_branch(request->success, request->n_success, &parts.success);
    }
    if (error == ETCD_OK) {
        error = encode_branch(request->failure, request->n_failure, &parts.failure);
    }
    if (error == ETCD_OK) {
        const struct kv_op kv = {.kind = KV_OP_TXN,
                                 .txn = {.compares = buf_view(&parts.compares),
                                         .success = buf_view(&parts.success),
                                         .failure = buf_view(&parts.failure)}};
        kv_op_encode(out, &kv);
    }
    buf_deinit(&parts.compares);
    buf_deinit(&parts.success);
    buf_deinit(&parts.failure);
    return error;
}

static enum etcd_error encode_branch(Etcdserverpb__RequestOp **ops, size_t count, struct buf *out)
{
    enum etcd_error error = ETCD_OK;
    for (size_t i = 0; i < count && error == ETCD_OK; i++) {
        error = encode_op(ops[i], out);
    }
    return error;
}

static enum etcd_error encode_op(const Etcdserverpb__RequestOp *request, struct buf *out)
{
    struct kv_op kv = {.kind = KV_OP_RANGE};
    switch (request->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        kv.range = etcd_kv_range_of(request->request_range);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        kv.kind = KV_OP_PUT;
        kv.put = etcd_kv_put_of(request->request_put);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        kv.kind = KV_OP_DELETE;
        kv.del = etcd_kv_delete_of(request->request_delete_range);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return encode_txn(request->request_txn, out);
    case ETCDSERVERPB__REQUEST_OP__REQUEST__NOT_SET:
    case _ETCDSERVERPB__REQUEST_OP__REQUEST__CASE_IS_INT_SIZE:
        return ETCD_KEY_NOT_FOUND; /* as etcd does for an operation that is none */
    }
    kv_op_encode(out, &kv);
    return ETCD_OK;
}

static enum etcd_error encode_compare(const Etcdserverpb__Compare *request, struct buf *out)
{
    if ((int)request->target < 0 ||
        request->target > ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE ||
        !target_matches(request)) {
        return ETCD_INVALID;
    }
    struct kv_compare compare = {
        .range = {.key = etcd_slice(request->key), .end = etcd_slice(request->range_end)},
        .target = (enum kv_target)((int)request->target + 1), /* the store's begin with KEY */
        .result = (enum kv_compare_result)request->result,
    };
    if (request->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE) {
        compare.value = request->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE
                            ? etcd_slice(request->value)
                            : slice_of(NULL, 0);
    } else if (request->target_union_case != ETCDSERVERPB__COMPARE__TARGET_UNION__NOT_SET) {
        compare.number = request->version; /* all four numbers share one place */
    }
    kv_compare_encode(out, &compare);
    return ETCD_OK;
}

/* A comparison with nothing given is one with zero, or with the empty value. */
static bool target_matches(const Etcdserverpb__Compare *request)
{
    switch (request->target_union_case) {
    case ETCDSERVERPB__COMPARE__TARGET_UNION__NOT_SET:
        return true;
    case ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION:
        return request->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    case ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION:
        return request->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    case ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION:
        return request->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    case ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE:
        return request->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    case ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE:
        return request->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE;
    case _ETCDSERVERPB__COMPARE__TARGET_UNION__CASE_IS_INT_SIZE:
        break;
    }
    return false;
}
