/* SPDX-License-Identifier: Apache-2.0 */
/* The follower's side of passing on: writes and questions to the leader's memory go to it many at a
 * time; reads ask it for its index and are answered here. What surely was not done is routed again;
 * of what may have been done the outcome is unknown, and is said to be. */
#include "etcd/etcd_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "indaba/internal/etcd.pb-c.h"
#include "wire/wire_text.h"

#include <string.h>

/* Operations that went to the leader together. */
struct batch {
    struct etcd *etcd;
    struct etcd_ops ops;
};

static void send_batch(struct etcd *etcd, struct channel *leader);
static void put_batch(const struct etcd_ops *ops, struct buf *out);
static void on_batch_done(const struct channel_result *result, void *ctx);
static enum error take_replies(struct batch *batch, struct slice bytes);
static void end_op(struct etcd_op *op, const Indaba__Internal__EtcdReply *reply, uint64_t index);
static void end_when_shown(struct etcd_op *op, uint64_t index);
static void ask_index(struct etcd *etcd, struct channel *leader);
static void on_index_done(const struct channel_result *result, void *ctx);
static struct batch *batch_new(struct etcd *etcd);

void etcd_forward_flush(struct etcd *etcd)
{
    bool indexed = etcd->indexed.count > 0 && etcd->indexes_in_flight < ETCD_READS_IN_FLIGHT_MAX;
    bool forwards =
        etcd->forwards.count > 0 && etcd->forwards_in_flight < ETCD_FORWARDS_IN_FLIGHT_MAX;
    if (!indexed && !forwards) {
        return;
    }
    struct channel *leader = front_leader_channel(etcd->front);
    if (leader == NULL) {
        etcd_route_later(etcd, &etcd->indexed);
        etcd_route_later(etcd, &etcd->forwards);
        return;
    }
    channel_redial(leader);
    if (indexed) {
        ask_index(etcd, leader);
    }
    if (forwards) {
        send_batch(etcd, leader);
    }
}

void etcd_forward_show(struct etcd *etcd)
{
    if (etcd->unshown.count == 0) {
        return;
    }
    uint64_t now_ms = clock_monotonic_ms();
    struct etcd_ops all = etcd->unshown;
    etcd->unshown = (struct etcd_ops){0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        if (etcd->applied >= op->shown_index || op->shown_by_ms <= now_ms || etcd->draining) {
            op->done(op);
        } else {
            etcd_ops_push(&etcd->unshown, op);
        }
    }
}

static void send_batch(struct etcd *etcd, struct channel *leader)
{
    struct batch *batch = batch_new(etcd);
    struct buf bytes = {0};
    etcd_ops_take_batch(&etcd->forwards, &batch->ops);
    put_batch(&batch->ops, &bytes);
    const struct channel_request request = {
        .path = ETCD_RELAY_DO, .timeout_ms = ETCD_TIMEOUT_MS, .wait_for_ready = false};
    etcd->forwards_in_flight++;
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
    for (const struct etcd_op *op = ops->first; op != NULL; op = op->next) {
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
    CHECK(etcd->forwards_in_flight > 0);
    etcd->forwards_in_flight--;
    if (result->status == GRPC_OK && take_replies(batch, result->reply) == ERR_OK) {
        CHECK(batch->ops.count == 0);
    } else if (result->not_processed) {
        etcd_route_later(etcd, &batch->ops);
    } else {
        etcd_ops_fail(&batch->ops, ETCD_OUTCOME_UNKNOWN);
    }
    mem_free(batch);
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
        struct etcd_ops again = {0};
        op->error = ETCD_OK;
        etcd_ops_push(&again, op);
        etcd_route_later(op->etcd, &again);
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
    op->done(op);
}

/* A client that has its answer finds here what it wrote, also by a serializable read, and a watch
 * that it begins then does not hear of it. */
static void end_when_shown(struct etcd_op *op, uint64_t index)
{
    if (op->error != ETCD_OK || op->etcd->applied >= index || op->etcd->draining) {
        op->done(op);
        return;
    }
    op->shown_index = index;
    op->shown_by_ms = clock_monotonic_ms() + ETCD_SHOW_MS;
    if (op->deadline_ms < op->shown_by_ms) {
        op->shown_by_ms = op->deadline_ms;
    }
    etcd_ops_push(&op->etcd->unshown, op);
}

static void ask_index(struct etcd *etcd, struct channel *leader)
{
    struct batch *batch = batch_new(etcd);
    batch->ops = etcd->indexed;
    etcd->indexed = (struct etcd_ops){0};
    const struct channel_request request = {
        .path = ETCD_RELAY_READ_INDEX, .timeout_ms = ETCD_TIMEOUT_MS, .wait_for_ready = false};
    etcd->indexes_in_flight++;
    (void)channel_unary(leader, &request, slice_of(NULL, 0), on_index_done, batch);
}

static void on_index_done(const struct channel_result *result, void *ctx)
{
    struct batch *batch = ctx;
    struct etcd *etcd = batch->etcd;
    struct wire_arena arena;
    ProtobufCMessage *message = NULL;
    wire_arena_init(&arena, 4096);
    CHECK(etcd->indexes_in_flight > 0);
    etcd->indexes_in_flight--;
    if (result->status == GRPC_OK &&
        wire_unpack(&indaba__internal__etcd_read_index_reply__descriptor,
                    result->reply,
                    &arena,
                    &message) == ERR_OK) {
        const Indaba__Internal__EtcdReadIndexReply *reply = (const void *)message;
        etcd_reads_at(etcd, &batch->ops, reply->index);
    } else {
        etcd_route_later(etcd, &batch->ops); /* a read may always be asked again */
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
