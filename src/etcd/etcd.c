/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd.h: the life of the etcd API on a member. */
#include "etcd/etcd.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "etcd/etcd_call.h"
#include "etcd/etcd_forward.h"
#include "etcd/etcd_keep_alive.h"
#include "etcd/etcd_lease.h"
#include "etcd/etcd_methods.h"
#include "etcd/etcd_propose.h"
#include "etcd/etcd_reads.h"
#include "etcd/etcd_relay.h"
#include "etcd/etcd_route.h"
#include "etcd/etcd_visit.h"
#include "etcd/etcd_writes.h"
#include "etcd/watch/etcd_watch.h"
#include "rpc/net.h"

#include <stdio.h>
#include <uv.h>

enum {
    TICK_MS = 100,
    PROGRESS_MS = 60000,
    CHECK_TICKS = 64, /* between two looks at what must hold */
    RETRY_MS = 20,    /* until what found no leader is tried again */
    /* After so many election timeouts without a leader, streams that need one end: to open them
     * again costs more than to wait for an election that goes well. */
    NO_LEADER_ELECTIONS = 3,
    STREAMS_MAX = 8 /* methods that are not unary, and those between members */
};

struct etcd_life {
    struct etcd *etcd;
    struct node_port_observer observer;
    struct net_sleeper sleeper;
    struct server_method *methods;
    size_t methods_count;
    struct etcd_binding *bindings;
    uv_timer_t timer; /* deadlines of what waits */
    uv_timer_t tick;  /* what happens by the passing of time */
    uint32_t handles_open;
    uint64_t ticks;
    bool sweep_pending;
    bool sweeping;
    uint64_t leader_seen_ms;
    uint64_t progress_ms;
};

static struct etcd *make(struct front *front);
static void release(struct etcd *etcd);
static void bind_methods(struct etcd *etcd);
static enum error listen_bench(struct etcd *etcd, struct reason *reason);
static void start_handles(struct etcd *etcd);
static bool bring(void *ctx);
static void on_leader_changed(void *ctx);
static void on_applied(const struct node_port_applied *applied, void *ctx);
static void on_tick(uv_timer_t *timer);
static uint64_t no_leader_ms(const struct etcd *etcd);
static void sweep(struct etcd *etcd, const struct node_office *office);
static void on_swept(const struct node_port_answer *answer, void *ctx);
static void on_timer(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);

enum error etcd_new(struct front *front, struct reason *reason, struct etcd **etcd_out)
{
    struct etcd *etcd = make(front);
    bind_methods(etcd);
    enum error error = listen_bench(etcd, reason);
    if (error != ERR_OK) {
        release(etcd);
        mem_free(etcd->life);
        mem_free(etcd);
        return error;
    }
    server_add_methods(front_server(front), etcd->life->methods, etcd->life->methods_count);
    start_handles(etcd);
    *etcd_out = etcd;
    return ERR_OK;
}

void etcd_drain(struct etcd *etcd)
{
    etcd->draining = true;
    etcd_route_on_timer(etcd);
    etcd_forward_show(etcd);
    etcd_watch_end_all(etcd, ETCD_STOPPED, false);
}

void etcd_free(struct etcd *etcd)
{
    if (etcd == NULL) {
        return;
    }
    struct etcd_life *life = etcd->life;
    node_port_unobserve(etcd->port, &life->observer);
    net_before_sleep_no_more(front_net(etcd->front), &life->sleeper);
    server_free(etcd->bench);
    release(etcd);
    uv_close((uv_handle_t *)&life->timer, on_handle_closed);
    uv_close((uv_handle_t *)&life->tick, on_handle_closed);
}

void etcd_check_invariants(const struct etcd *etcd)
{
    etcd_ops_check_invariants(etcd);
    etcd_reads_check_invariants(etcd);
    etcd_forward_check_invariants(etcd);
    etcd_visits_check_invariants(etcd);
    etcd_lease_check_invariants(etcd);
    watch_hub_check_invariants(etcd->watches);
}

static struct etcd *make(struct front *front)
{
    struct etcd *etcd = mem_new(sizeof(*etcd));
    etcd->front = front;
    etcd->port = front_port(front);
    etcd->cluster_id = front_config(front)->cluster.hi;
    etcd->member_id = front_config(front)->member.hi;
    etcd->life = mem_new(sizeof(*etcd->life));
    etcd->life->etcd = etcd;
    etcd_reads_init(etcd);
    etcd_writes_init(etcd);
    etcd_forward_init(etcd);
    etcd_visits_init(etcd);
    etcd_lease_init(etcd);
    return etcd;
}

/* All but the memory that handles are in. */
static void release(struct etcd *etcd)
{
    etcd_watch_deinit(etcd);
    etcd_keep_alive_deinit(etcd);
    etcd_lease_deinit(etcd);
    etcd_visits_deinit(etcd);
    etcd_forward_deinit(etcd);
    etcd_writes_deinit(etcd);
    etcd_reads_deinit(etcd);
    mem_free(etcd->life->methods);
    mem_free(etcd->life->bindings);
}

static void bind_methods(struct etcd *etcd)
{
    struct etcd_life *life = etcd->life;
    size_t count = 0;
    const struct etcd_method *unary = etcd_methods(&count);
    life->methods = mem_new_array(count + STREAMS_MAX, sizeof(*life->methods));
    life->bindings = mem_new_array(count, sizeof(*life->bindings));
    for (size_t i = 0; i < count; i++) {
        life->bindings[i] = (struct etcd_binding){.etcd = etcd, .method = &unary[i]};
        life->methods[i] = (struct server_method){
            .path = unary[i].path,
            .kind = SERVER_UNARY,
            .on_message = etcd_call_on_message,
            .ctx = &life->bindings[i],
        };
    }
    life->methods_count = count;
    etcd_relay_add_methods(etcd, life->methods, &life->methods_count);
    etcd_keep_alive_init(etcd, life->methods, &life->methods_count);
    etcd_watch_init(etcd, life->methods, &life->methods_count);
    CHECK(life->methods_count <= count + STREAMS_MAX);
}

/* A port without TLS, of this machine alone, so that others can be measured beside us. It serves
 * nothing but this API. */
static enum error listen_bench(struct etcd *etcd, struct reason *reason)
{
    const char *address = front_config(etcd->front)->listen_bench;
    if (address[0] == '\0') {
        return ERR_OK;
    }
    const struct server_options options = {
        .address = address,
        .reply_bytes_max = FRONT_REPLY_BYTES_MAX,
        .methods = etcd->life->methods,
        .methods_count = etcd->life->methods_count,
        .refuse = front_refuse_in_quarantine,
        .ctx = etcd->front,
    };
    enum error error = server_new(front_net(etcd->front), &options, reason, &etcd->bench);
    if (error != ERR_OK) {
        reason_say(reason, "listen.bench_without_tls %s: %s", address, reason->text);
        return error;
    }
    log_event(LOG_WARN,
              "api.without_tls",
              "address=%s why=%s",
              address,
              log_quote("whoever runs programs on this machine may change every key"));
    return ERR_OK;
}

static void start_handles(struct etcd *etcd)
{
    struct etcd_life *life = etcd->life;
    uv_loop_t *loop = net_loop(front_net(etcd->front));
    CHECK(uv_timer_init(loop, &life->timer) == 0);
    CHECK(uv_timer_init(loop, &life->tick) == 0);
    life->timer.data = etcd;
    life->tick.data = etcd;
    life->handles_open = 2;
    CHECK(uv_timer_start(&life->tick, on_tick, TICK_MS, TICK_MS) == 0);
    life->observer = (struct node_port_observer){
        .on_leader_changed = on_leader_changed, .on_applied = on_applied, .ctx = etcd};
    node_port_observe(etcd->port, &life->observer);
    life->sleeper = (struct net_sleeper){.bring = bring, .ctx = etcd};
    net_before_sleep(front_net(etcd->front), NET_STAGE_SERVICES, &life->sleeper);
}

static bool bring(void *ctx)
{
    struct etcd *etcd = ctx;
    struct etcd_life *life = etcd->life;
    bool any = etcd_route_flush(etcd);
    any |= etcd_relay_flush(etcd);
    if (etcd_ops_in(etcd, ETCD_OP_WAITING) > 0 && !uv_is_active((uv_handle_t *)&life->timer)) {
        CHECK(uv_timer_start(&life->timer, on_timer, RETRY_MS, 0) == 0);
    }
    return any;
}

static void on_leader_changed(void *ctx)
{
    etcd_lease_leader_changed(ctx);
    etcd_route_leader_changed(ctx);
}

static void on_applied(const struct node_port_applied *applied, void *ctx)
{
    struct etcd *etcd = ctx;
    struct reader reader = reader_of(applied->replies);
    struct kv_reply reply;
    while (kv_reply_next(&reader, &reply)) {
        etcd_lease_applied(etcd, &reply);
    }
    etcd->life->sweep_pending = applied->sweep_pending;
    etcd->revision = (uint64_t)applied->revision;
    etcd->compacted = (uint64_t)applied->compacted;
    etcd->applied = applied->index;
    etcd_watch_advance(etcd);
    etcd_forward_show(etcd);
}

/* What happens by the passing of time. */
static void on_tick(uv_timer_t *timer)
{
    struct etcd *etcd = timer->data;
    struct etcd_life *life = etcd->life;
    uint64_t now_ms = clock_monotonic_ms();
    const struct node_office office = node_port_office(etcd->port);
    etcd_lease_tick(etcd);
    etcd_forward_show(etcd);
    sweep(etcd, &office);
    if (office.leader != NULL) {
        life->leader_seen_ms = now_ms;
    } else if (now_ms - life->leader_seen_ms > no_leader_ms(etcd)) {
        etcd_watch_end_all(etcd, ETCD_NO_LEADER, true);
        etcd_keep_alive_no_leader(etcd);
    }
    if (now_ms - life->progress_ms > PROGRESS_MS) {
        life->progress_ms = now_ms;
        etcd_watch_progress(etcd);
    }
    if (++life->ticks % CHECK_TICKS == 0) {
        etcd_check_invariants(etcd);
    }
}

static uint64_t no_leader_ms(const struct etcd *etcd)
{
    return NO_LEADER_ELECTIONS * (uint64_t)node_port_status(etcd->port).election_ms;
}

/* Entries of the log carry the physical part of a compaction on; when nobody writes, we do. */
static void sweep(struct etcd *etcd, const struct node_office *office)
{
    if (!office->leads || !etcd->life->sweep_pending || etcd->life->sweeping) {
        return;
    }
    struct buf ops = {0};
    const struct kv_op op = {.kind = KV_OP_SWEEP};
    kv_op_encode(&ops, &op);
    etcd->life->sweeping = true;
    etcd_propose(
        etcd, buf_view(&ops), UINT64_MAX, (struct node_port_waiter){.done = on_swept, .ctx = etcd});
    buf_deinit(&ops);
}

static void on_swept(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    struct etcd *etcd = ctx;
    etcd->life->sweeping = false;
}

static void on_timer(uv_timer_t *timer)
{
    etcd_route_on_timer(timer->data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct etcd *etcd = handle->data;
    if (--etcd->life->handles_open == 0) {
        mem_free(etcd->life);
        mem_free(etcd);
    }
}
