/* SPDX-License-Identifier: Apache-2.0 */
/* Operations and lists of them: see etcd_internal.h. */
#include "etcd/etcd_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#include "wire/wire_text.h"

#include <string.h>

static void keep(struct etcd_op *op, const char *actor, struct slice request);

struct etcd_op *etcd_op_new(struct etcd *etcd, const struct etcd_method *method)
{
    struct etcd_op *op = mem_new(sizeof(*op));
    op->etcd = etcd;
    op->method = method;
    op->deadline_ms = clock_monotonic_ms() + ETCD_TIMEOUT_MS;
    etcd->ops++;
    return op;
}

void etcd_op_free(struct etcd_op *op)
{
    CHECK(op->etcd->ops > 0);
    op->etcd->ops--;
    wire_arena_deinit(&op->arena);
    buf_deinit(&op->encoded);
    buf_deinit(&op->reply);
    kv_cursor_deinit(&op->part.cursor);
    mem_free(op);
}

bool etcd_op_take(struct etcd_op *op, const char *actor, struct slice request)
{
    if (request.len > ETCD_REQUEST_BYTES_MAX) {
        op->error = ETCD_TOO_LARGE;
        return false;
    }
    keep(op, actor, request);
    if (wire_unpack(op->method->request, op->bytes, &op->arena, &op->message) != ERR_OK) {
        op->error = ETCD_INVALID;
    } else if (op->method->take != NULL) {
        op->error = op->method->take(op);
    }
    return op->error == ETCD_OK;
}

bool etcd_op_take_relayed(struct etcd_op *op, const char *actor, struct slice request)
{
    if (op->method->kind != ETCD_WRITE) {
        return etcd_op_take(op, actor, request);
    }
    struct reader reader = reader_of(request);
    struct kv_op kv;
    keep(op, actor, slice_of(NULL, 0));
    if (!kv_op_next(&reader, &kv) || reader_finish(&reader) != ERR_OK || kv.kind == KV_OP_ACTOR ||
        kv_op_check(&kv) != KV_OK) {
        op->error = ETCD_INVALID;
        return false;
    }
    buf_append(&op->encoded, request.data, request.len);
    return true;
}

struct slice etcd_op_relayed(const struct etcd_op *op)
{
    return op->method->kind == ETCD_WRITE ? buf_view(&op->encoded) : op->bytes;
}

void etcd_ops_push(struct etcd_ops *ops, struct etcd_op *op)
{
    op->next = NULL;
    if (ops->last == NULL) {
        ops->first = op;
    } else {
        ops->last->next = op;
    }
    ops->last = op;
    ops->count++;
}

struct etcd_op *etcd_ops_pop(struct etcd_ops *ops)
{
    struct etcd_op *op = ops->first;
    if (op != NULL) {
        ops->first = op->next;
        ops->last = ops->first == NULL ? NULL : ops->last;
        ops->count--;
        op->next = NULL;
    }
    return op;
}

void etcd_ops_take_batch(struct etcd_ops *from, struct etcd_ops *batch_out)
{
    *batch_out = (struct etcd_ops){0};
    size_t bytes = 0;
    while (from->first != NULL && batch_out->count < ETCD_BATCH_OPS_MAX) {
        bytes += etcd_op_relayed(from->first).len;
        if (batch_out->count > 0 && bytes > ETCD_BATCH_BYTES_MAX) {
            return;
        }
        etcd_ops_push(batch_out, etcd_ops_pop(from));
    }
}

void etcd_op_fail(struct etcd_op *op, enum etcd_error error)
{
    op->error = error;
    op->done(op);
}

void etcd_ops_fail(struct etcd_ops *ops, enum etcd_error error)
{
    struct etcd_ops all = *ops;
    *ops = (struct etcd_ops){0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        etcd_op_fail(op, error);
    }
}

void etcd_ops_done(struct etcd_ops *ops)
{
    struct etcd_ops all = *ops;
    *ops = (struct etcd_ops){0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        op->done(op);
    }
}

Etcdserverpb__ResponseHeader *etcd_header(struct etcd_op *op)
{
    const struct etcd *etcd = op->etcd;
    const struct node_office office = node_port_office(etcd->port);
    Etcdserverpb__ResponseHeader *header = wire_new(&op->arena, sizeof(*header));
    etcdserverpb__response_header__init(header);
    header->cluster_id = etcd->cluster_id;
    header->member_id = etcd->member_id;
    header->revision = (int64_t)etcd->revision;
    header->raft_term = office.term;
    return header;
}

void etcd_op_answer(struct etcd_op *op, const ProtobufCMessage *response)
{
    wire_pack(response, &op->reply);
    op->done(op);
}

ProtobufCBinaryData etcd_bytes(struct slice bytes)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } cast = {.in = bytes.data};

    return (ProtobufCBinaryData){.data = cast.out, .len = bytes.len};
}

struct slice etcd_slice(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

struct etcd_identity etcd_identity(const struct etcd *etcd, uint64_t term)
{
    return (struct etcd_identity){
        .cluster_id = etcd->cluster_id, .member_id = etcd->member_id, .term = term};
}

/* Into an arena that has room for what protobuf-c makes of the request, too. */
static void keep(struct etcd_op *op, const char *actor, struct slice request)
{
    size_t actor_size = strlen(actor) + 1;
    wire_arena_init(&op->arena, wire_arena_cap_for(request.len) + request.len + actor_size + 64);
    uint8_t *copy = wire_arena_alloc(&op->arena, request.len);
    char *name = wire_arena_alloc(&op->arena, actor_size);
    CHECK(copy != NULL && name != NULL);
    if (request.len > 0) {
        memcpy(copy, request.data, request.len);
    }
    memcpy(name, actor, actor_size);
    op->bytes = slice_of(copy, request.len);
    op->actor = name;
}
