/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's side of passing on (etcd_forward.c is the other): a batch of requests from a member
 * becomes operations of ours, and one answer when the last of them is done. */
#include "etcd/etcd_relay.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "etcd/etcd_forward.h"
#include "etcd/etcd_methods.h"
#include "etcd/etcd_route.h"
#include "indaba/internal/etcd.pb-c.h"
#include "wire/wire_text.h"

#include <stdio.h>

enum {
    /* Errors and lengths, ETCD_BATCH_OPS_MAX times. */
    REPLY_BESIDE_BYTES = ETCD_BATCH_OPS_MAX * 96,
    /* Of all operations of a message. */
    REPLY_BYTES_MAX = FRONT_REPLY_BYTES_MAX - 256 * 1024
};

struct relay {
    struct etcd *etcd;
    struct server_call *call; /* NULL once it was cancelled */
    struct etcd_op **ops;
    uint32_t count;
    uint32_t open;
};

static void on_do(struct server_call *call, struct slice message, void *ctx);
static void
start(struct etcd *etcd, struct server_call *call, const Indaba__Internal__EtcdBatch *batch);
static void take(struct etcd_op *op,
                 const struct server_call *call,
                 const Indaba__Internal__EtcdRequest *request);
static void on_op_done(struct etcd_op *op);
static void answer(struct relay *relay);
static size_t reply_room(const struct relay *relay);
static void put_reply(const struct etcd_op *op, size_t *left, Indaba__Internal__EtcdReply *reply);
static void on_cancel(struct server_call *call, void *ctx);
static void on_read_index(struct server_call *call, struct slice message, void *ctx);
static void on_index_confirmed(const struct node_port_answer *read, void *ctx);
static void on_said(const struct node_port_answer *answer, void *ctx);
static bool is_member(struct etcd *etcd, struct server_call *call);

void etcd_relay_add_methods(struct etcd *etcd, struct server_method *methods, size_t *count)
{
    methods[(*count)++] = (struct server_method){
        .path = ETCD_RELAY_DO, .kind = SERVER_UNARY, .on_message = on_do, .ctx = etcd};
    methods[(*count)++] = (struct server_method){.path = ETCD_RELAY_READ_INDEX,
                                                 .kind = SERVER_UNARY,
                                                 .on_message = on_read_index,
                                                 .ctx = etcd};
}

bool etcd_relay_flush(struct etcd *etcd)
{
    bool unsaid = etcd->commit_unsaid;
    if (unsaid) {
        etcd->commit_unsaid = false;
        node_port_read(etcd->port, (struct node_port_waiter){.done = on_said, .ctx = NULL});
    }
    return unsaid;
}

static void on_do(struct server_call *call, struct slice message, void *ctx)
{
    struct etcd *etcd = ctx;
    if (!is_member(etcd, call)) {
        return;
    }
    struct wire_arena arena;
    ProtobufCMessage *batch = NULL;
    wire_arena_init(&arena, 2 * wire_arena_cap_for(message.len));
    if (wire_unpack(&indaba__internal__etcd_batch__descriptor, message, &arena, &batch) != ERR_OK) {
        server_call_fail(call, ERR_INVALID, "the batch cannot be read");
    } else {
        start(etcd, call, (const void *)batch);
    }
    wire_arena_deinit(&arena);
}

static void
start(struct etcd *etcd, struct server_call *call, const Indaba__Internal__EtcdBatch *batch)
{
    struct relay *relay = mem_new(sizeof(*relay));
    relay->etcd = etcd;
    relay->call = call;
    relay->count = (uint32_t)batch->n_requests;
    relay->open = relay->count + 1;
    relay->ops = mem_new_array(relay->count, sizeof(struct etcd_op *));
    server_call_set_cancel(call, on_cancel, relay);
    for (uint32_t i = 0; i < relay->count; i++) {
        const Indaba__Internal__EtcdRequest *request = batch->requests[i];
        const struct etcd_method *method = etcd_method_of_code(request->code);
        /* One from a newer member: refused, and nothing else. */
        struct etcd_op *op = etcd_op_new(etcd, method);
        relay->ops[i] = op;
        op->passed_on = true;
        op->owner = relay;
        op->done = on_op_done;
        if (method == NULL) {
            op->error = ETCD_INVALID;
        } else {
            take(op, call, request);
        }
        if (op->error != ETCD_OK) {
            relay->open--;
        } else {
            etcd_route(op);
        }
    }
    if (--relay->open == 0) {
        answer(relay);
    }
}

/* Who asked is the other member's word, which stands beside the name. */
static void take(struct etcd_op *op,
                 const struct server_call *call,
                 const Indaba__Internal__EtcdRequest *request)
{
    char actor[ACTOR_SIZE];
    const char *path = tls_identity_path(server_call_peer(call));
    int len = snprintf(actor, sizeof(actor), "%s via %s", request->actor, path);
    if (len < 0 || (size_t)len >= sizeof(actor)) {
        op->error = ETCD_INVALID;
        return;
    }
    (void)etcd_op_take_relayed(op, actor, etcd_slice(request->request));
}

static void on_op_done(struct etcd_op *op)
{
    struct relay *relay = op->owner;
    CHECK(relay->open > 0);
    if (--relay->open == 0) {
        answer(relay);
    }
}

static void answer(struct relay *relay)
{
    struct wire_arena arena;
    wire_arena_init(&arena, (size_t)relay->count * 256 + 4096);
    Indaba__Internal__EtcdBatchReply reply = INDABA__INTERNAL__ETCD_BATCH_REPLY__INIT;
    relay->etcd->commit_unsaid = true;
    reply.index = node_port_status(relay->etcd->port).applied;
    reply.n_replies = relay->count;
    reply.replies = (Indaba__Internal__EtcdReply **)wire_new_messages(
        &arena, relay->count, sizeof(Indaba__Internal__EtcdReply));
    size_t left = reply_room(relay);
    for (uint32_t i = 0; i < relay->count; i++) {
        put_reply(relay->ops[i], &left, reply.replies[i]);
    }
    if (relay->call != NULL) {
        struct buf bytes = {0};
        wire_pack(&reply.base, &bytes);
        server_call_reply(relay->call, buf_view(&bytes));
        buf_deinit(&bytes);
    }
    wire_arena_deinit(&arena);
    for (uint32_t i = 0; i < relay->count; i++) {
        etcd_op_free(relay->ops[i]);
    }
    mem_free(relay->ops);
    mem_free(relay);
}

static size_t reply_room(const struct relay *relay)
{
    if (relay->call == NULL) {
        return 0;
    }
    size_t room = server_call_room(relay->call);
    room -= room < REPLY_BESIDE_BYTES ? room : REPLY_BESIDE_BYTES;
    return room < REPLY_BYTES_MAX ? room : REPLY_BYTES_MAX;
}

/* One that has no place beside those before it fails for itself alone. */
static void put_reply(const struct etcd_op *op, size_t *left, Indaba__Internal__EtcdReply *reply)
{
    enum etcd_error error = op->error;
    struct slice bytes = buf_view(&op->reply);
    if (bytes.len > *left) {
        MARK("etcd.relay_full");
        /* A write was done, and only what it answers is lost. */
        error = op->method->kind == ETCD_WRITE ? ETCD_OUTCOME_UNKNOWN : ETCD_REPLY_TOO_LARGE;
        bytes.len = 0;
    }
    *left -= bytes.len;
    indaba__internal__etcd_reply__init(reply);
    reply->error = wire_string(etcd_error_text(error));
    reply->reply = etcd_bytes(bytes);
}

/* What was asked goes on: a write under way cannot be taken back. */
static void on_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    struct relay *relay = ctx;
    relay->call = NULL;
}

struct index_request {
    struct etcd *etcd;
    struct server_call *call;
};

static void on_index_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    struct index_request *request = ctx;
    request->call = NULL;
}

static void on_read_index(struct server_call *call, struct slice message, void *ctx)
{
    (void)message;
    struct etcd *etcd = ctx;
    if (!is_member(etcd, call)) {
        return;
    }
    struct index_request *request = mem_new(sizeof(*request));
    request->etcd = etcd;
    request->call = call;
    server_call_set_cancel(call, on_index_cancel, request);
    node_port_read(etcd->port,
                   (struct node_port_waiter){.done = on_index_confirmed, .ctx = request});
}

static void on_index_confirmed(const struct node_port_answer *read, void *ctx)
{
    struct index_request *request = ctx;
    if (request->call != NULL && read->error == ERR_OK) {
        Indaba__Internal__EtcdReadIndexReply reply = INDABA__INTERNAL__ETCD_READ_INDEX_REPLY__INIT;
        reply.index = read->index;
        struct buf bytes = {0};
        wire_pack(&reply.base, &bytes);
        server_call_reply(request->call, buf_view(&bytes));
        buf_deinit(&bytes);
    } else if (request->call != NULL) {
        front_refuse_not_leader(request->etcd->front, request->call);
    }
    mem_free(request);
}

/* The heartbeat was wanted, which carries what is committed, and not its answer. */
static void on_said(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    (void)ctx;
}

static bool is_member(struct etcd *etcd, struct server_call *call)
{
    if (front_role_of(etcd->front, server_call_peer(call)) == FRONT_MEMBER) {
        return true;
    }
    front_refuse_role(etcd->front, call, "members on record only");
    return false;
}
