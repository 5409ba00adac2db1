/* SPDX-License-Identifier: Apache-2.0 */
/* See watch_world.h. */
#include "watch_world.h"

#include "base/mem.h"
#include "state/apply.h"

#include <stdio.h>

static uint64_t
query(void *core, node_port_query_fn run, void *ctx, struct node_port_ticket ticket);
static struct node_office office(const void *core);
static void close_port(void *core);
static void ask(struct world *world, struct listener *call, const ProtobufCMessage *request);

static enum error send_all(void *to, const struct slice *messages, size_t count);
static size_t room(const void *to);
static size_t queued(const void *to);
static void end(void *to, enum etcd_error error);

static const struct watch_sink sink = {
    .send_all = send_all, .queued = queued, .room = room, .end = end};
static const struct node_port_core calls = {.query = query, .office = office, .close = close_port};

struct world *world_new(void)
{
    struct world *world = mem_new(sizeof(*world));
    world->memory = tables_memory_new();
    world->tables = tables_memory_tables(world->memory);
    world->etcd.revision = 1;
    world->etcd.port = node_port_new(&calls, world);
    world->etcd.cluster_id = 1;
    world->etcd.member_id = 2;
    world->etcd.watches = watch_hub_new(&world->etcd);
    return world;
}

void world_free(struct world *world)
{
    world_settle(world);
    etcd_watch_end_all(&world->etcd, ETCD_STOPPED, false);
    watch_hub_free(world->etcd.watches);
    node_port_close(world->etcd.port);
    tables_memory_free(world->memory);
    buf_deinit(&world->batch);
    mem_free(world);
}

void world_add(struct world *world, const struct kv_op *op)
{
    kv_op_encode(&world->batch, op);
}

void world_apply(struct world *world)
{
    struct command command = {
        .kind = COMMAND_KV,
        .leader_term = 3,
        .wall_ms = 1700000000,
        .kv = {.batch = buf_view(&world->batch)},
    };
    struct buf replies = {0};
    struct apply_entry entry = {
        .index = ++world->index,
        .term = 3,
        .raft_kind = 2,
        .command = &command,
        .payload = buf_view(&world->batch),
        .replies = &replies,
    };
    struct shard_id changed;
    struct command_result result;
    apply_entry(&world->tables, &entry, &result, &changed);
    assert_int_equal(result.error, ERR_OK);
    buf_clear(&world->batch);
    buf_deinit(&replies);
    struct kv_position position;
    kv_position(&world->tables, &position);
    world->etcd.revision = (uint64_t)position.revision;
    etcd_watch_advance(&world->etcd);
}

void world_put(struct world *world, const char *key, struct slice value)
{
    const struct kv_op op = {.kind = KV_OP_PUT,
                             .put = {.key = slice_of_string(key), .value = value}};
    world_add(world, &op);
    world_apply(world);
}

void world_compact(struct world *world, int64_t revision)
{
    const struct kv_op op = {.kind = KV_OP_COMPACT, .compact_revision = revision};
    world_add(world, &op);
    world_apply(world);
}

bool world_visit(struct world *world)
{
    watch_hub_check_invariants(world->etcd.watches);
    (void)node_port_flush(world->etcd.port);
    if (world->run == NULL) {
        return false;
    }
    const struct node_port_answer answer = {.error = ERR_OK};
    node_port_query_fn run = world->run;
    world->run = NULL;
    run(&world->tables, world->query_ctx);
    node_port_answered(world->etcd.port, world->ticket, &answer);
    return true;
}

void world_settle(struct world *world)
{
    while (world_visit(world)) {
    }
}

struct listener *world_open(struct world *world)
{
    struct listener *call = mem_new(sizeof(*call));
    call->stream = watch_stream_open(world->etcd.watches, &sink, call, false);
    return call;
}

void world_close(struct listener *call)
{
    if (!call->over) {
        call->over = true;
        watch_stream_gone(call->stream);
    }
    for (uint32_t i = 0; i < call->sent_count; i++) {
        buf_deinit(&call->sent[i]);
    }
    mem_free(call);
}

void world_drain(struct listener *call)
{
    call->queued = 0;
    if (!call->over) {
        watch_hub_on_drain(call->stream);
    }
}

void world_catch_up(struct world *world, struct listener *call)
{
    uint32_t before = 0;
    do {
        before = call->sent_count;
        world_drain(call);
        world_settle(world);
    } while (call->sent_count > before);
}

void world_watch(struct world *world,
                 struct listener *call,
                 const Etcdserverpb__WatchCreateRequest *request)
{
    Etcdserverpb__WatchCreateRequest copy = *request;
    Etcdserverpb__WatchRequest message = ETCDSERVERPB__WATCH_REQUEST__INIT;
    message.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    message.create_request = &copy;
    ask(world, call, &message.base);
}

void world_watch_all(struct world *world, struct listener *call, int64_t revision)
{
    const Etcdserverpb__WatchCreateRequest request = world_all_keys(revision);
    world_watch(world, call, &request);
}

Etcdserverpb__WatchCreateRequest world_all_keys(int64_t revision)
{
    static uint8_t zero[1] = {0};
    Etcdserverpb__WatchCreateRequest request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    request.key = (ProtobufCBinaryData){.data = zero, .len = 1};
    request.range_end = request.key;
    request.start_revision = revision;
    return request;
}

void world_ask_progress(struct world *world, struct listener *call)
{
    Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest message = ETCDSERVERPB__WATCH_REQUEST__INIT;
    message.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    message.progress_request = &progress;
    ask(world, call, &message.base);
}

void world_cancel(struct world *world, struct listener *call, int64_t id)
{
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    cancel.watch_id = id;
    Etcdserverpb__WatchRequest message = ETCDSERVERPB__WATCH_REQUEST__INIT;
    message.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    message.cancel_request = &cancel;
    ask(world, call, &message.base);
}

struct heard world_heard(const struct listener *call, uint32_t at)
{
    struct wire_arena arena;
    ProtobufCMessage *message = NULL;
    assert_true(at < call->sent_count);
    const struct slice bytes = buf_view(&call->sent[at]);
    wire_arena_init(&arena, 64 * 1024 + 8 * bytes.len);
    assert_int_equal(
        wire_unpack(&etcdserverpb__watch_response__descriptor, bytes, &arena, &message), ERR_OK);
    const Etcdserverpb__WatchResponse *response = (const void *)message;
    struct heard heard = {
        .id = response->watch_id,
        .revision = response->header->revision,
        .compacted = response->compact_revision,
        .created = response->created,
        .canceled = response->canceled,
        .fragment = response->fragment,
        .events = (uint32_t)response->n_events,
    };
    if (heard.events > 0) {
        heard.first_revision = response->events[0]->kv->mod_revision;
        heard.last_revision = response->events[heard.events - 1]->kv->mod_revision;
    }
    (void)snprintf(heard.reason, sizeof(heard.reason), "%s", response->cancel_reason);
    wire_arena_deinit(&arena);
    return heard;
}

void world_assert_heard(
    const struct listener *call, uint32_t from, int64_t id, int64_t first, int64_t last)
{
    int64_t next = first;
    for (uint32_t i = from; i < call->sent_count; i++) {
        const struct heard heard = world_heard(call, i);
        if (heard.id == id && heard.events > 0) {
            assert_int_equal(heard.first_revision, next);
            assert_int_equal(heard.last_revision, next + heard.events - 1);
            assert_true(heard.revision >= heard.last_revision);
            next = heard.last_revision + 1;
        }
    }
    assert_int_equal(next, last + 1);
}

static void ask(struct world *world, struct listener *call, const ProtobufCMessage *request)
{
    struct buf bytes = {0};
    wire_pack(request, &bytes);
    (void)world;
    watch_stream_asked(call->stream, buf_view(&bytes));
    buf_deinit(&bytes);
}

static uint64_t query(void *core, node_port_query_fn run, void *ctx, struct node_port_ticket ticket)
{
    struct world *world = core;
    assert_null(world->run); /* one at a time */
    world->run = run;
    world->query_ctx = ctx;
    world->ticket = ticket;
    return world->index;
}

static struct node_office office(const void *core)
{
    (void)core;
    return (struct node_office){.term = 7};
}

static void close_port(void *core)
{
    (void)core;
}

/* With the bounds of the real one. */
static enum error send_all(void *to, const struct slice *messages, size_t count)
{
    struct listener *call = to;
    assert_false(call->over);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (messages[i].len > FRONT_REPLY_BYTES_MAX) {
            return ERR_LIMIT;
        }
        len += messages[i].len;
    }
    if (call->queued == 0) {
        call->exempt = len > WORLD_QUEUE_BYTES_MAX ? len : 0;
    } else if (call->queued + len > call->exempt + WORLD_QUEUE_BYTES_MAX) {
        return ERR_EXHAUSTED;
    }
    if (len > room(call)) {
        return ERR_EXHAUSTED;
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(call->sent_count < WORLD_MESSAGES_MAX);
        buf_append(&call->sent[call->sent_count++], messages[i].data, messages[i].len);
    }
    call->queued += len;
    if (call->eager) {
        world_drain(call);
    }
    return ERR_OK;
}

static size_t room(const void *to)
{
    const struct listener *call = to;
    return FRONT_REPLY_BYTES_MAX - call->taken;
}

static size_t queued(const void *to)
{
    const struct listener *call = to;
    return call->queued;
}

static void end(void *to, enum etcd_error error)
{
    struct listener *call = to;
    assert_false(call->over);
    call->over = true;
    call->error = error;
}
