/* SPDX-License-Identifier: Apache-2.0 */
/* The follower's side of passing on: writes and questions to the leader's memory go to it many at a
 * time; reads ask it for its index and are answered here. What surely was not done is routed again;
 * of what may have been done the outcome is unknown, and is said to be. */
#include "etcd/etcd_forward.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "etcd/etcd_propose.h"
#include "etcd/etcd_reads.h"
#include "indaba/internal/etcd.pb-c.h"
#include "wire/wire_text.h"

#include <string.h>

enum {
    FORWARDS_IN_FLIGHT_MAX = 4,
    SHOW_MS = 1000 /* a write that the leader has done waits so long to be shown here */
};

/* Messages under way to the leader. */
struct etcd_forward {
    uint32_t batches;
    uint32_t indexes;
};

/* Operations that went to the leader together. */
struct batch {
    struct etcd *etcd;
    struct etcd_ops ops;
};

static bool can_ask(const struct etcd *etcd);
static bool can_send(const struct etcd *etcd);
static void send_batch(struct etcd *etcd, struct channel *leader);
static void put_batch(const struct etcd_ops *ops, struct buf *out);
static void on_batch_done(const struct channel_result *result, void *ctx);
static void ask_again_or_fail(struct etcd_ops *ops);
static enum error take_replies(struct batch *batch, struct slice bytes);
static void end_op(struct etcd_op *op, const Indaba__Internal__EtcdReply *reply, uint64_t index);
static void end_when_shown(struct etcd_op *op, uint64_t index);
static void ask_index(struct etcd *etcd, struct channel *leader);
static void on_index_done(const struct channel_result *result, void *ctx);
static struct batch *batch_new(struct etcd *etcd);

void etcd_forward_init(struct etcd *etcd)
{
    etcd->forward = mem_new(sizeof(*etcd->forward));
}

void etcd_forward_deinit(struct etcd *etcd)
{
    mem_free(etcd->forward);
    etcd->forward = NULL;
}

void etcd_forward_check_invariants(const struct etcd *etcd)
{
    CHECK(etcd->forward->batches <= FORWARDS_IN_FLIGHT_MAX);
    CHECK(etcd->forward->indexes <= ETCD_READS_IN_FLIGHT_MAX);
}

bool etcd_forward_can_go(const struct etcd *etcd)
{
    return can_ask(etcd) || can_send(etcd);
}

void etcd_forward_flush(struct etcd *etcd)
{
    if (!etcd_forward_can_go(etcd)) {
        return;
    }
    struct channel *leader = front_leader_channel(etcd->front);
    if (leader == NULL) {
        etcd_ops_enter(&etcd->queues[ETCD_OP_INDEX], ETCD_OP_WAITING);
        etcd_ops_enter(&etcd->queues[ETCD_OP_FORWARD], ETCD_OP_WAITING);
        return;
    }
    channel_redial(leader);
    if (can_ask(etcd)) {
        ask_index(etcd, leader);
    }
    if (can_send(etcd)) {
        send_batch(etcd, leader);
    }
}

void etcd_forward_show(struct etcd *etcd)
{
    if (etcd_ops_in(etcd, ETCD_OP_SHOWING) == 0) {
        return;
    }
    uint64_t now_ms = clock_monotonic_ms();
    struct etcd_ops all = etcd->queues[ETCD_OP_SHOWING];
    struct etcd_op *op = NULL;
    etcd->queues[ETCD_OP_SHOWING] = (struct etcd_ops){.count = 0};
    while ((op = etcd_ops_pop(&all)) != NULL) {
        if (etcd->applied >= op->shown_index || op->shown_by_ms <= now_ms || etcd->draining) {
            etcd_op_end(op);
        } else {
            etcd_ops_push(&etcd->queues[ETCD_OP_SHOWING], op);
        }
    }
}

static bool can_ask(const struct etcd *etcd)
{
    return etcd_ops_in(etcd, ETCD_OP_INDEX) > 0 &&
           etcd->forward->indexes < ETCD_READS_IN_FLIGHT_MAX;
}

static bool can_send(const struct etcd *etcd)
{
    return etcd_ops_in(etcd, ETCD_OP_FORWARD) > 0 &&
           etcd->forward->batches < FORWARDS_IN_FLIGHT_MAX;
}

static void send_batch(struct etcd *etcd, struct channel *leader)
{
    struct batch *batch = batch_new(etcd);
    struct buf bytes = {0};
    etcd_ops_take_batch(etcd, ETCD_OP_FORWARD, &batch->ops);
    put_batch(&batch->ops, &bytes);
    const struct channel_request request = {
        .path = ETCD_RELAY_DO, .timeout_ms = ETCD_TIMEOUT_MS, .wait_for_ready = false};
    etcd->forward->batches++;
    (void)channel_unary(leader, &request, buf_view(&bytes), on_batch_done, batch);
    buf_deinit(&bytes);
}

static void put_batch(const struct etcd_ops *ops, struct buf *out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, (size_t)ops->count * 256 + 4096);
    Indaba__Internal__EtcdBatch batch = INDABA__INTERNAL__ETCD_BATCH__INIT;
    batch.n_requests = ops->count;
    batch.requests = (Indaba__Internal__EtcdRequest **)wire_new_messages(
        &arena, ops->count, sizeof(Indaba__Internal__EtcdRequest));
    size_t at = 0;
    const struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &ops->list, others)
    {
        Indaba__Internal__EtcdRequest *request = batch.requests[at++];
        indaba__internal__etcd_request__init(request);
        request->code = op->method->code;
        request->request = etcd_bytes(etcd_op_relayed(op));
        request->actor = wire_string(op->actor);
    }
    wire_pack(&batch.base, out);
    wire_arena_deinit(&arena);
}

static void on_batch_done(const struct channel_result *result, void *ctx)
{
    struct batch *batch = ctx;
    struct etcd *etcd = batch->etcd;
    CHECK(etcd->forward->batches > 0);
    etcd->forward->batches--;
    if (result->status == GRPC_OK && take_replies(batch, result->reply) == ERR_OK) {
        CHECK(batch->ops.count == 0);
    } else if (result->not_processed) {
        etcd_ops_enter(&batch->ops, ETCD_OP_WAITING);
    } else {
        ask_again_or_fail(&batch->ops);
    }
    mem_free(batch);
}

/* Whether a write was done is not known. What only the leader can say, how long a lease has still
 * to live or that it lives on, is asked of the next one like a read: twice is as good as once. */
static void ask_again_or_fail(struct etcd_ops *ops)
{
    struct etcd_op *op = NULL;
    while ((op = etcd_ops_pop(ops)) != NULL) {
        if (op->method->kind == ETCD_LEADER) {
            MARK("etcd.asked_again");
            etcd_op_enter(op, ETCD_OP_WAITING);
        } else {
            etcd_op_fail(op, ETCD_OUTCOME_UNKNOWN);
        }
    }
}

static enum error take_replies(struct batch *batch, struct slice bytes)
{
    struct wire_arena arena;
    ProtobufCMessage *message = NULL;
    wire_arena_init(&arena, 2 * wire_arena_cap_for(bytes.len));
    enum error error =
        wire_unpack(&indaba__internal__etcd_batch_reply__descriptor, bytes, &arena, &message);
    if (error == ERR_OK) {
        const Indaba__Internal__EtcdBatchReply *reply = (const void *)message;
        error = reply->n_replies == batch->ops.count ? ERR_OK : ERR_PROTOCOL;
        for (size_t i = 0; error == ERR_OK && i < reply->n_replies; i++) {
            end_op(etcd_ops_pop(&batch->ops), reply->replies[i], reply->index);
        }
    }
    wire_arena_deinit(&arena);
    return error;
}

static void end_op(struct etcd_op *op, const Indaba__Internal__EtcdReply *reply, uint64_t index)
{
    op->error = etcd_error_of_text(reply->error);
    if (op->error == ETCD_NOT_LEADER) {
        /* The leader that we knew is none any more, and did nothing. */
        op->error = ETCD_OK;
        etcd_op_enter(op, ETCD_OP_WAITING);
        return;
    }
    if (op->error == ETCD_ERROR_COUNT) {
        op->error = ETCD_OUTCOME_UNKNOWN;
    }
    if (op->error == ETCD_OK && op->method->kind == ETCD_WRITE) {
        const struct node_office office = node_port_office(op->etcd->port);
        op->identity = etcd_identity(op->etcd, office.term);
        op->error =
            etcd_write_finish(op, etcd_slice(reply->reply)) ? op->error : ETCD_OUTCOME_UNKNOWN;
        end_when_shown(op, index);
        return;
    }
    buf_append(&op->reply, reply->reply.data, reply->reply.len);
    etcd_op_end(op);
}

/* A client that has its answer finds here what it wrote, also by a serializable read, and a watch
 * that it begins then does not hear of it. */
static void end_when_shown(struct etcd_op *op, uint64_t index)
{
    if (op->error != ETCD_OK || op->etcd->applied >= index || op->etcd->draining) {
        etcd_op_end(op);
        return;
    }
    op->shown_index = index;
    op->shown_by_ms = clock_monotonic_ms() + SHOW_MS;
    if (op->deadline_ms < op->shown_by_ms) {
        op->shown_by_ms = op->deadline_ms;
    }
    etcd_op_enter(op, ETCD_OP_SHOWING);
}

static void ask_index(struct etcd *etcd, struct channel *leader)
{
    struct batch *batch = batch_new(etcd);
    etcd_ops_take(etcd, ETCD_OP_INDEX, &batch->ops);
    const struct channel_request request = {
        .path = ETCD_RELAY_READ_INDEX, .timeout_ms = ETCD_TIMEOUT_MS, .wait_for_ready = false};
    etcd->forward->indexes++;
    (void)channel_unary(leader, &request, slice_of(NULL, 0), on_index_done, batch);
}

static void on_index_done(const struct channel_result *result, void *ctx)
{
    struct batch *batch = ctx;
    struct etcd *etcd = batch->etcd;
    struct wire_arena arena;
    ProtobufCMessage *message = NULL;
    wire_arena_init(&arena, 4096);
    CHECK(etcd->forward->indexes > 0);
    etcd->forward->indexes--;
    if (result->status == GRPC_OK &&
        wire_unpack(&indaba__internal__etcd_read_index_reply__descriptor,
                    result->reply,
                    &arena,
                    &message) == ERR_OK) {
        const Indaba__Internal__EtcdReadIndexReply *reply = (const void *)message;
        etcd_reads_at(etcd, &batch->ops, reply->index);
    } else {
        etcd_ops_enter(&batch->ops, ETCD_OP_WAITING); /* a read may always be asked again */
    }
    wire_arena_deinit(&arena);
    mem_free(batch);
}

static struct batch *batch_new(struct etcd *etcd)
{
    struct batch *batch = mem_new(sizeof(*batch));
    batch->etcd = etcd;
    return batch;
}
