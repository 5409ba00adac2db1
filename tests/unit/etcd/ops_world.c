/* SPDX-License-Identifier: Apache-2.0 */
/* See ops_world.h. */
#include "ops_world.h"

#include "base/clock.h"
#include "etcd/etcd_forward.h"
#include "etcd/etcd_methods.h"
#include "etcd/etcd_reads.h"
#include "etcd/etcd_route.h"
#include "etcd/etcd_visit.h"
#include "etcd/etcd_writes.h"
#include "wire/wire_text.h"

static void check(const struct world *world);
static struct asked *keep(struct world *world, char what, struct node_port_ticket ticket);
static void ask(struct world *world,
                struct request *request,
                const char *path,
                const ProtobufCMessage *message);
static void on_done(struct etcd_op *op);

static void propose(void *core, const struct command *command, struct node_port_ticket ticket)
{
    struct asked *asked = keep(core, 'p', ticket);
    struct reader reader = reader_of(command->kv.batch);
    struct kv_op op;
    while (kv_op_next(&reader, &op)) {
        asked->ops += op.kind == KV_OP_ACTOR ? 0 : 1;
    }
    assert_int_equal(reader_finish(&reader), ERR_OK);
}

static void read_confirmed(void *core, struct node_port_ticket ticket)
{
    (void)keep(core, 'r', ticket);
}

static void read_at(void *core, uint64_t index, struct node_port_ticket ticket)
{
    (void)index;
    (void)keep(core, 'a', ticket);
}

static uint64_t query(void *core, node_port_query_fn run, void *ctx, struct node_port_ticket ticket)
{
    (void)run; /* there is no store: replies stay empty */
    (void)ctx;
    (void)keep(core, 'q', ticket);
    return 100;
}

static struct node_office office(const void *core)
{
    const struct world *world = core;
    return world->office;
}

static bool is_space_low(const void *core)
{
    const struct world *world = core;
    return world->space_is_low;
}

static void close_core(void *core)
{
    (void)core;
}

static uint64_t now_ms(const void *core)
{
    (void)core;
    return clock_monotonic_ms();
}

static const struct node_port_core calls = {
    .now_ms = now_ms,
    .propose = propose,
    .read = read_confirmed,
    .read_at = read_at,
    .query = query,
    .office = office,
    .space_is_low = is_space_low,
    .close = close_core,
};

void ops_start(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->office.term = 1;
    world->etcd.port = node_port_new(&calls, world);
    etcd_reads_init(&world->etcd);
    etcd_writes_init(&world->etcd);
    etcd_forward_init(&world->etcd);
    etcd_visits_init(&world->etcd);
}

void ops_stop(struct world *world)
{
    check(world);
    assert_int_equal(world->etcd.ops, 0);
    etcd_visits_deinit(&world->etcd);
    etcd_forward_deinit(&world->etcd);
    etcd_writes_deinit(&world->etcd);
    etcd_reads_deinit(&world->etcd);
    node_port_close(world->etcd.port);
}

void ops_leads(struct world *world, bool leads)
{
    world->office = (struct node_office){
        .role = leads ? RAFT_LEADER : RAFT_FOLLOWER,
        .leads = leads,
        .term = world->office.term + 1,
        .leader = leads ? &world->leader : NULL,
    };
    etcd_route_leader_changed(&world->etcd);
    check(world);
}

void ops_turn(struct world *world)
{
    bool any = true;
    for (uint32_t round = 0; any; round++) {
        assert_true(round < 100);
        any = etcd_route_flush(&world->etcd);
        check(world);
        any |= node_port_flush(world->etcd.port);
        check(world);
    }
}

void ops_put(struct world *world, struct request *request)
{
    static uint8_t key[] = "key";
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){.data = key, .len = 3};
    ask(world, request, "/etcdserverpb.KV/Put", &put.base);
}

void ops_get(struct world *world, struct request *request)
{
    static uint8_t key[] = "key";
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = (ProtobufCBinaryData){.data = key, .len = 3};
    ask(world, request, "/etcdserverpb.KV/Range", &range.base);
}

void ops_answer(struct world *world, uint32_t at, enum error error)
{
    const struct command_result fine = {.error = ERR_OK};
    const struct kv_reply reply = {.kind = KV_OP_PUT, .error = KV_OK, .revision = 2};
    struct buf replies = {0};
    assert_true(at < world->asked_count);
    for (uint32_t i = 0; i < world->asked[at].ops; i++) {
        kv_reply_encode(&replies, &reply);
    }
    const struct node_port_answer answer = {
        .error = error, .index = 7, .result = &fine, .replies = buf_view(&replies)};
    node_port_answered(world->etcd.port, world->asked[at].ticket, &answer);
    buf_deinit(&replies);
    check(world);
}

void ops_answer_void(struct world *world, uint32_t at)
{
    const struct command_result stale = {.error = ERR_STALE_LEADER};
    const struct node_port_answer answer = {.error = ERR_OK, .result = &stale};
    assert_true(at < world->asked_count);
    node_port_answered(world->etcd.port, world->asked[at].ticket, &answer);
    check(world);
}

static void check(const struct world *world)
{
    etcd_ops_check_invariants(&world->etcd);
    etcd_reads_check_invariants(&world->etcd);
    etcd_forward_check_invariants(&world->etcd);
    etcd_visits_check_invariants(&world->etcd);
}

static struct asked *keep(struct world *world, char what, struct node_port_ticket ticket)
{
    assert_true(world->asked_count < ASKED_MAX);
    struct asked *asked = &world->asked[world->asked_count++];
    *asked = (struct asked){.what = what, .ticket = ticket};
    return asked;
}

static void
ask(struct world *world, struct request *request, const char *path, const ProtobufCMessage *message)
{
    struct buf bytes = {0};
    wire_pack(message, &bytes);
    struct etcd_op *op = etcd_op_new(&world->etcd, etcd_method_of_path(path));
    *request = (struct request){.op = op};
    op->owner = request;
    op->done = on_done;
    assert_true(etcd_op_take(op, "/client/app", buf_view(&bytes)));
    etcd_route(op);
    assert_false(request->done);
    buf_deinit(&bytes);
    check(world);
}

static void on_done(struct etcd_op *op)
{
    struct request *request = op->owner;
    assert_false(request->done);
    assert_int_equal(op->state, ETCD_OP_DONE);
    request->done = true;
    request->error = op->error;
    request->op = NULL;
    etcd_op_free(op);
}
