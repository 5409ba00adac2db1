/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes given as a batch of the key-value store, on top of a few keys: it is refused whole, or
 * each operation has its reply; operations are written again as they were read; the same bytes give
 * the same state twice; revisions only grow, by no more than the operations. */
#include "base/check.h"
#include "base/mem.h"
#include "state/apply.h"
#include "state/kv_reply.h"
#include "state/tables_memory.h"

#include <string.h>

enum {
    TERM = 1
};

struct outcome {
    struct kv_position position;
    struct apply_position applied;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
apply(const struct tables *tables, uint64_t index, struct slice batch, struct buf *replies)
{
    static struct command_result result;
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_KV;
    command->leader_term = TERM;
    command->kv.batch = batch;
    struct apply_entry entry = {
        .index = index,
        .term = TERM,
        .raft_kind = 2,
        .command = command,
        .payload = batch,
        .replies = replies,
    };
    struct shard_id changed;
    apply_entry(tables, &entry, &result, &changed);
    CHECK(result.error == ERR_OK || result.error == ERR_PROTOCOL);
    mem_free(command);
}

static void put_some(struct buf *batch)
{
    const struct kv_op grant = {.kind = KV_OP_LEASE_GRANT, .lease = {.id = 1, .ttl = 9}};
    kv_op_encode(batch, &grant);
    for (char key = 'a'; key < 'f'; key++) {
        struct kv_op op = {.kind = KV_OP_PUT, .put = {.lease = key == 'a'}};
        op.put.key = slice_of(&key, 1);
        op.put.value = op.put.key;
        kv_op_encode(batch, &op);
    }
}

/* Returns how many operations there are that have replies; 0 if the bytes are no batch. */
static uint32_t write_again(struct slice bytes)
{
    struct reader reader = reader_of(bytes);
    struct buf again = {0};
    struct kv_op op;
    uint32_t count = 0;
    while (kv_op_next(&reader, &op)) {
        (void)kv_op_check(&op);
        count += op.kind != KV_OP_ACTOR;
        /* Enums out of range are not written by us, but are read, and refused when checked. */
        size_t before = again.len;
        kv_op_encode(&again, &op);
        CHECK(again.len > before);
    }
    bool whole = reader_finish(&reader) == ERR_OK;
    buf_deinit(&again);
    return whole && count <= KV_BATCH_OPS_MAX ? count : 0;
}

static struct outcome run(struct slice bytes, uint32_t ops)
{
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    struct buf some = {0};
    struct buf replies = {0};
    struct kv_position before;
    struct outcome outcome = {0};
    put_some(&some);
    apply(&tables, 1, buf_view(&some), NULL);
    kv_position(&tables, &before);
    apply(&tables, 2, bytes, &replies);
    kv_position(&tables, &outcome.position);
    apply_position(&tables, &outcome.applied);
    struct reader reader = reader_of(buf_view(&replies));
    struct kv_reply reply;
    uint32_t count = 0;
    int64_t revision = before.revision;
    while (kv_reply_next(&reader, &reply)) {
        CHECK(reply.revision == revision || reply.revision == revision + 1);
        CHECK(reply.error == KV_OK || reply.revision == revision);
        revision = reply.revision;
        count++;
    }
    CHECK(reader_finish(&reader) == ERR_OK);
    CHECK(count == ops);
    CHECK(outcome.position.revision == revision);
    buf_deinit(&some);
    buf_deinit(&replies);
    tables_memory_free(memory);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    uint32_t ops = write_again(bytes);
    struct outcome one = run(bytes, ops);
    struct outcome two = run(bytes, ops);
    CHECK(one.applied.state_hash == two.applied.state_hash);
    CHECK(one.position.revision == two.position.revision);
    return 0;
}
