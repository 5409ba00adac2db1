/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks for as operations of the key-value store, and replies as its answer. */
#include "tests/sim/sim_client.h"

#include "base/check.h"
#include "state/kv.h"
#include "state/kv_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 32
};

static void encode_one(struct buf *out, const struct sim_ask *ask, enum kv_op_kind kind, int which);
static uint64_t value_of_pairs(struct slice pairs);

void sim_ask_encode(const struct sim_ask *ask, struct buf *batch)
{
    struct kv_op txn = {.kind = KV_OP_TXN};
    struct buf compares = {0};
    struct buf success = {0};
    struct buf failure = {0};
    char key[TEXT_MAX];
    char value[TEXT_MAX];

    switch (ask->kind) {
    case ASK_GET:
        UNREACHABLE("reads are no entries");
    case ASK_PUT:
    case ASK_SWAP:
        encode_one(batch, ask, KV_OP_PUT, 0);
        return;
    case ASK_DELETE:
        encode_one(batch, ask, KV_OP_DELETE, 0);
        return;
    case ASK_CAS: {
        (void)snprintf(key, sizeof(key), "c%u", ask->keys[0]);
        (void)snprintf(value, sizeof(value), "%" PRIu64, ask->expected);
        bool absent = ask->expected == LIN_ABSENT;
        struct kv_compare compare = {.range.key = slice_of_string(key),
                                     .target = absent ? KV_TARGET_VERSION : KV_TARGET_VALUE,
                                     .value = absent ? (struct slice){0} : slice_of_string(value)};
        kv_compare_encode(&compares, &compare);
        encode_one(&success, ask, KV_OP_PUT, 0);
        encode_one(&failure, ask, KV_OP_RANGE, 0);
        break;
    }
    case ASK_PUT_TWO:
    case ASK_GET_TWO:
        for (int i = 0; i < 2; i++) {
            encode_one(&success, ask, ask->kind == ASK_PUT_TWO ? KV_OP_PUT : KV_OP_RANGE, i);
        }
        break;
    }
    txn.txn.compares = buf_view(&compares);
    txn.txn.success = buf_view(&success);
    txn.txn.failure = buf_view(&failure);
    kv_op_encode(batch, &txn);
    buf_deinit(&compares);
    buf_deinit(&success);
    buf_deinit(&failure);
}

struct sim_answer
sim_ask_decode(const struct sim_ask *ask, const struct command_result *result, struct slice replies)
{
    struct sim_answer answer_out = {.outcome = LIN_FAIL};
    struct reader reader = reader_of(replies);
    struct kv_reply reply;

    if (result->error != ERR_OK) {
        return answer_out;
    }
    bool found = kv_reply_next(&reader, &reply);
    CHECK(found && reply.error == KV_OK);
    answer_out.outcome = LIN_OK;
    answer_out.succeeded = reply.kind != KV_OP_TXN || reply.succeeded;
    if (reply.kind != KV_OP_TXN) {
        answer_out.seen[0] = value_of_pairs(reply.pairs);
    } else if (ask->kind == ASK_GET_TWO || !reply.succeeded) {
        struct reader nested = reader_of(reply.replies);
        for (int i = 0; i < 2 && kv_reply_next(&nested, &reply); i++) {
            answer_out.seen[i] = value_of_pairs(reply.pairs);
        }
    }
    return answer_out;
}

uint64_t sim_ask_value(const struct tables *tables, uint32_t key_number)
{
    char text[TEXT_MAX] = "";
    struct kv_pair pair;
    struct kv_position position;

    (void)snprintf(text, sizeof(text), "c%u", key_number);
    kv_position(tables, &position);
    if (kv_get(tables, slice_of_string(text), position.revision, &pair) != ERR_OK) {
        return LIN_ABSENT;
    }
    CHECK(pair.value.len < sizeof(text));
    memset(text, 0, sizeof(text));
    memcpy(text, pair.value.data, pair.value.len);
    return strtoull(text, NULL, 10);
}

static void encode_one(struct buf *out, const struct sim_ask *ask, enum kv_op_kind kind, int which)
{
    struct kv_op op = {.kind = kind};
    char key[TEXT_MAX];
    char value[TEXT_MAX];

    (void)snprintf(key, sizeof(key), "c%u", ask->keys[which]);
    (void)snprintf(value, sizeof(value), "%" PRIu64, ask->values[which]);
    if (kind == KV_OP_PUT) {
        op.put.key = slice_of_string(key);
        op.put.value = slice_of_string(value);
        op.put.prev_kv = ask->kind == ASK_SWAP;
    } else if (kind == KV_OP_DELETE) {
        op.del.range.key = slice_of_string(key);
        op.del.prev_kv = true;
    } else {
        op.range.range.key = slice_of_string(key);
    }
    kv_op_encode(out, &op);
}

static uint64_t value_of_pairs(struct slice pairs)
{
    struct reader reader = reader_of(pairs);
    struct kv_pair pair;
    char text[TEXT_MAX] = "";

    if (!kv_pair_next(&reader, &pair)) {
        return LIN_ABSENT;
    }
    CHECK(pair.value.len < sizeof(text));
    memcpy(text, pair.value.data, pair.value.len);
    return strtoull(text, NULL, 10);
}
