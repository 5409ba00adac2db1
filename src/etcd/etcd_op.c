/* SPDX-License-Identifier: Apache-2.0 */
/* Operations and lists of them: see etcd_op.h. */
#include "etcd/etcd_op.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#include "wire/wire_text.h"

#include <string.h>

#define BIT(state) (1U << (state))

enum {
    /* Where the router sends an operation. */
    ROUTED = BIT(ETCD_OP_WAITING) | BIT(ETCD_OP_LOCAL) | BIT(ETCD_OP_READ) | BIT(ETCD_OP_INDEX) |
             BIT(ETCD_OP_WRITE) | BIT(ETCD_OP_FORWARD) | BIT(ETCD_OP_MISLED) | BIT(ETCD_OP_MEMBER),
    BROUGHT = BIT(ETCD_OP_CARRIED) | BIT(ETCD_OP_RETURNED)
};

/* The edges of the diagram in etcd_op.h. */
static const struct {
    const char *name;
    uint32_t next;
    bool has_queue;
} STATES[ETCD_OP_STATES] = {
    [ETCD_OP_NEW] = {"new", ROUTED, false},
    [ETCD_OP_RETURNED] = {"returned", ROUTED | BIT(ETCD_OP_DONE), true},
    [ETCD_OP_WAITING] = {"waiting", BIT(ETCD_OP_RETURNED) | BIT(ETCD_OP_DONE), true},
    [ETCD_OP_LOCAL] = {"local", BIT(ETCD_OP_CARRIED), true},
    [ETCD_OP_READ] = {"read", BROUGHT, true},
    [ETCD_OP_INDEX] = {"index", BROUGHT, true},
    [ETCD_OP_WRITE] = {"write", BROUGHT | BIT(ETCD_OP_DONE), true},
    [ETCD_OP_CROWDED] = {"crowded", BROUGHT, true},
    [ETCD_OP_FORWARD] = {"forward", BROUGHT, true},
    [ETCD_OP_MISLED] = {"misled", BIT(ETCD_OP_DONE), true},
    [ETCD_OP_MEMBER] = {"member", BIT(ETCD_OP_DONE), true},
    [ETCD_OP_CARRIED] = {"carried",
                         BIT(ETCD_OP_RETURNED) | BIT(ETCD_OP_WAITING) | BIT(ETCD_OP_CROWDED) |
                             BIT(ETCD_OP_SHOWING) | BIT(ETCD_OP_DONE),
                         false},
    [ETCD_OP_SHOWING] = {"showing", BIT(ETCD_OP_DONE), true},
    [ETCD_OP_DONE] = {"done", 0, false},
};

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

void etcd_op_enter(struct etcd_op *op, enum etcd_op_state state)
{
    CHECK(state < ETCD_OP_STATES);
    CHECK((STATES[op->state].next & BIT(state)) != 0);
    op->state = state;
    if (STATES[state].has_queue) {
        etcd_ops_push(&op->etcd->queues[state], op);
    }
}

const char *etcd_op_state_name(enum etcd_op_state state)
{
    return STATES[state].name;
}

void etcd_op_end(struct etcd_op *op)
{
    etcd_op_enter(op, ETCD_OP_DONE);
    op->done(op);
}

void etcd_op_fail(struct etcd_op *op, enum etcd_error error)
{
    op->error = error;
    etcd_op_end(op);
}

void etcd_op_answer(struct etcd_op *op, const ProtobufCMessage *response)
{
    wire_pack(response, &op->reply);
    etcd_op_end(op);
}

void etcd_ops_push(struct etcd_ops *ops, struct etcd_op *op)
{
    if (STAILQ_EMPTY(&ops->list)) {
        STAILQ_INIT(&ops->list); /* what is zeroed or was moved is empty, too */
    }
    STAILQ_INSERT_TAIL(&ops->list, op, others);
    ops->count++;
}

struct etcd_op *etcd_ops_pop(struct etcd_ops *ops)
{
    struct etcd_op *op = STAILQ_FIRST(&ops->list);
    if (op != NULL) {
        CHECK(ops->count > 0);
        STAILQ_REMOVE_HEAD(&ops->list, others);
        ops->count--;
    }
    return op;
}

struct etcd_op *etcd_ops_first(const struct etcd_ops *ops)
{
    return STAILQ_FIRST(&ops->list);
}

uint32_t etcd_ops_in(const struct etcd *etcd, enum etcd_op_state state)
{
    return etcd->queues[state].count;
}

void etcd_ops_take(struct etcd *etcd, enum etcd_op_state state, struct etcd_ops *ops_out)
{
    struct etcd_op *op = NULL;
    *ops_out = (struct etcd_ops){.count = 0};
    while ((op = etcd_ops_pop(&etcd->queues[state])) != NULL) {
        etcd_op_enter(op, ETCD_OP_CARRIED);
        etcd_ops_push(ops_out, op);
    }
}

void etcd_ops_take_batch(struct etcd *etcd, enum etcd_op_state state, struct etcd_ops *ops_out)
{
    struct etcd_ops *from = &etcd->queues[state];
    size_t bytes = 0;
    *ops_out = (struct etcd_ops){.count = 0};
    while (from->count > 0 && ops_out->count < ETCD_BATCH_OPS_MAX) {
        bytes += etcd_op_relayed(etcd_ops_first(from)).len;
        if (ops_out->count > 0 && bytes > ETCD_BATCH_BYTES_MAX) {
            return;
        }
        struct etcd_op *op = etcd_ops_pop(from);
        etcd_op_enter(op, ETCD_OP_CARRIED);
        etcd_ops_push(ops_out, op);
    }
}

void etcd_ops_enter(struct etcd_ops *ops, enum etcd_op_state state)
{
    struct etcd_ops all = *ops;
    struct etcd_op *op = NULL;
    *ops = (struct etcd_ops){.count = 0};
    while ((op = etcd_ops_pop(&all)) != NULL) {
        etcd_op_enter(op, state);
    }
}

void etcd_ops_fail(struct etcd_ops *ops, enum etcd_error error)
{
    struct etcd_ops all = *ops;
    struct etcd_op *op = NULL;
    *ops = (struct etcd_ops){.count = 0};
    while ((op = etcd_ops_pop(&all)) != NULL) {
        etcd_op_fail(op, error);
    }
}

void etcd_ops_end(struct etcd_ops *ops)
{
    struct etcd_ops all = *ops;
    struct etcd_op *op = NULL;
    *ops = (struct etcd_ops){.count = 0};
    while ((op = etcd_ops_pop(&all)) != NULL) {
        etcd_op_end(op);
    }
}

void etcd_ops_check_invariants(const struct etcd *etcd)
{
    uint32_t all = 0;
    for (uint32_t state = 0; state < ETCD_OP_STATES; state++) {
        const struct etcd_op *op = NULL;
        uint32_t count = 0;
        CHECK(STATES[state].has_queue || etcd->queues[state].count == 0);
        STAILQ_FOREACH(op, &etcd->queues[state].list, others)
        {
            CHECK(op->state == state && op->etcd == etcd);
            count++;
        }
        CHECK(count == etcd->queues[state].count);
        all += count;
    }
    CHECK(all <= etcd->ops);
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
