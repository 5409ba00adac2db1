/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is written by hand is what protobuf would have written: every response is read back
 * with protobuf-c and compared field by field. Method: replies as the store encodes them. */
#include "etcd/api/etcdserverpb/rpc.pb-c.h"
#include "etcd/etcd_error.h"
#include "etcd/etcd_reply.h"

#include <string.h>

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct etcd_identity identity = {
    .cluster_id = UINT64_MAX, .member_id = 0x8000000000000001, .term = 7};

static struct kv_pair pair_of(const char *key, const char *value, int64_t number)
{
    return (struct kv_pair){
        .key = slice_of_string(key),
        .value = slice_of_string(value),
        .create_revision = number,
        .mod_revision = number + 1,
        .version = number + 2,
        .lease = -number,
    };
}

static void assert_pair(const Mvccpb__KeyValue *got, const struct kv_pair *expected)
{
    assert_non_null(got);
    assert_int_equal(got->key.len, expected->key.len);
    assert_memory_equal(got->key.data, expected->key.data, expected->key.len);
    assert_int_equal(got->value.len, expected->value.len);
    if (expected->value.len > 0) {
        assert_memory_equal(got->value.data, expected->value.data, expected->value.len);
    }
    assert_int_equal(got->create_revision, expected->create_revision);
    assert_int_equal(got->mod_revision, expected->mod_revision);
    assert_int_equal(got->version, expected->version);
    assert_int_equal(got->lease, expected->lease);
}

static void assert_header(const Etcdserverpb__ResponseHeader *header, int64_t revision)
{
    assert_non_null(header);
    assert_true(header->cluster_id == identity.cluster_id);
    assert_true(header->member_id == identity.member_id);
    assert_int_equal(header->raft_term, 7);
    assert_int_equal(header->revision, revision);
}

static void test_a_put_carries_the_header_and_what_was_there_before(void **state)
{
    (void)state;
    struct kv_pair before = pair_of("key", "", 1000000);
    struct buf pairs = {0};
    struct buf out = {0};
    kv_pair_encode(&pairs, &before);
    const struct kv_reply reply = {.kind = KV_OP_PUT, .revision = 300, .pairs = buf_view(&pairs)};

    assert_int_equal(etcd_reply_put(&out, &identity, &reply), ERR_OK);

    Etcdserverpb__PutResponse *got = etcdserverpb__put_response__unpack(NULL, out.len, out.data);
    assert_non_null(got);
    assert_header(got->header, 300);
    assert_pair(got->prev_kv, &before);
    etcdserverpb__put_response__free_unpacked(got, NULL);
    buf_deinit(&pairs);
    buf_deinit(&out);
}

static void test_a_transaction_nests_the_responses_of_its_branch(void **state)
{
    (void)state;
    struct kv_pair pair = pair_of("a", "value", 5);
    struct buf pairs = {0};
    struct buf inner = {0};
    struct buf replies = {0};
    struct buf out = {0};
    kv_pair_encode(&pairs, &pair);
    kv_pair_encode(&pairs, &pair);
    const struct kv_reply range = {
        .kind = KV_OP_RANGE, .revision = 9, .count = 3, .more = true, .pairs = buf_view(&pairs)};
    const struct kv_reply gone = {
        .kind = KV_OP_DELETE, .revision = 9, .count = 2, .pairs = buf_view(&pairs)};
    kv_reply_encode(&inner, &range);
    const struct kv_reply nested = {
        .kind = KV_OP_TXN, .revision = 9, .succeeded = true, .replies = buf_view(&inner)};
    kv_reply_encode(&replies, &gone);
    kv_reply_encode(&replies, &nested);
    const struct kv_reply txn = {.kind = KV_OP_TXN, .revision = 9, .replies = buf_view(&replies)};

    assert_int_equal(etcd_reply_put(&out, &identity, &txn), ERR_OK);

    Etcdserverpb__TxnResponse *got = etcdserverpb__txn_response__unpack(NULL, out.len, out.data);
    assert_non_null(got);
    assert_header(got->header, 9);
    assert_false(got->succeeded);
    assert_int_equal(got->n_responses, 2);
    const Etcdserverpb__DeleteRangeResponse *deleted = got->responses[0]->response_delete_range;
    assert_int_equal(got->responses[0]->response_case,
                     ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE);
    assert_int_equal(deleted->deleted, 2);
    assert_int_equal(deleted->n_prev_kvs, 2);
    assert_pair(deleted->prev_kvs[1], &pair);
    assert_int_equal(got->responses[1]->response_case,
                     ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN);
    const Etcdserverpb__TxnResponse *second = got->responses[1]->response_txn;
    assert_true(second->succeeded);
    const Etcdserverpb__RangeResponse *ranged = second->responses[0]->response_range;
    assert_int_equal(ranged->count, 3);
    assert_true(ranged->more);
    assert_int_equal(ranged->header->revision, 9);
    assert_int_equal(ranged->n_kvs, 2);
    assert_pair(ranged->kvs[0], &pair);
    etcdserverpb__txn_response__free_unpacked(got, NULL);
    buf_deinit(&pairs);
    buf_deinit(&inner);
    buf_deinit(&replies);
    buf_deinit(&out);
}

static void test_a_deletion_is_an_event_with_the_pair_before_it(void **state)
{
    (void)state;
    struct kv_pair before = pair_of("gone", "was", 40);
    const struct kv_event event = {.deleted = true,
                                   .pair = {.key = slice_of_string("gone"), .mod_revision = 77}};
    struct buf out = {0};

    etcd_reply_put_event(&out, 11, &event, &before);
    etcd_reply_put_event(&out, 11, &event, NULL);

    Etcdserverpb__WatchResponse *got =
        etcdserverpb__watch_response__unpack(NULL, out.len, out.data);
    assert_non_null(got);
    assert_int_equal(got->n_events, 2);
    assert_int_equal(got->events[0]->type, MVCCPB__EVENT__EVENT_TYPE__DELETE);
    assert_pair(got->events[0]->kv, &event.pair);
    assert_pair(got->events[0]->prev_kv, &before);
    assert_null(got->events[1]->prev_kv);
    etcdserverpb__watch_response__free_unpacked(got, NULL);
    buf_deinit(&out);
}

static void test_a_reply_that_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct kv_pair pair = pair_of("a", "value", 5);
    struct buf pairs = {0};
    struct buf out = {0};
    kv_pair_encode(&pairs, &pair);
    pairs.len--;
    const struct kv_reply reply = {.kind = KV_OP_PUT, .revision = 3, .pairs = buf_view(&pairs)};

    assert_int_equal(etcd_reply_put(&out, &identity, &reply), ERR_CORRUPT);

    buf_deinit(&pairs);
    buf_deinit(&out);
}

static void test_every_error_is_found_again_by_its_text(void **state)
{
    (void)state;
    for (int error = 0; error < ETCD_ERROR_COUNT; error++) {
        assert_int_equal(etcd_error_of_text(etcd_error_text((enum etcd_error)error)), error);
    }
    assert_int_equal(etcd_error_of_text("etcdserver: something new"), ETCD_ERROR_COUNT);
    assert_int_equal(etcd_error_status(ETCD_OUTCOME_UNKNOWN), GRPC_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_put_carries_the_header_and_what_was_there_before),
        cmocka_unit_test(test_a_transaction_nests_the_responses_of_its_branch),
        cmocka_unit_test(test_a_deletion_is_an_event_with_the_pair_before_it),
        cmocka_unit_test(test_a_reply_that_is_cut_off_is_refused),
        cmocka_unit_test(test_every_error_is_found_again_by_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
