/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd.h: the life of the etcd API on a member. */
#include "etcd/etcd_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

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
    struct etcd *etcd = mem_new(sizeof(*etcd));
    etcd->front = front;
    etcd->port = front_port(front);
    etcd->cluster_id = front_config(front)->cluster.hi;
    etcd->member_id = front_config(front)->member.hi;
    etcd_lease_init(etcd);
    bind_methods(etcd);
    enum error error = listen_bench(etcd, reason);
    if (error != ERR_OK) {
        etcd_watch_deinit(etcd);
        etcd_lease_deinit(etcd);
        mem_free(etcd->methods);
        mem_free(etcd->bindings);
        mem_free(etcd);
        return error;
    }
    server_add_methods(front_server(front), etcd->methods, etcd->methods_count);
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
    node_port_unobserve(etcd->port, &etcd->observer);
    server_free(etcd->bench);
    etcd_watch_deinit(etcd);
    etcd_lease_deinit(etcd);
    etcd_visits_deinit(etcd);
    mem_free(etcd->methods);
    mem_free(etcd->bindings);
    net_before_sleep_no_more(front_net(etcd->front), &etcd->sleeper);
    uv_close((uv_handle_t *)&etcd->timer, on_handle_closed);
    uv_close((uv_handle_t *)&etcd->tick, on_handle_closed);
}

static void bind_methods(struct etcd *etcd)
{
    size_t count = 0;
    const struct etcd_method *unary = etcd_methods(&count);
    etcd->methods = mem_new_array(count + ETCD_STREAMS_MAX, sizeof(*etcd->methods));
    etcd->bindings = mem_new_array(count, sizeof(*etcd->bindings));
    for (size_t i = 0; i < count; i++) {
        etcd->bindings[i] = (struct etcd_binding){.etcd = etcd, .method = &unary[i]};
        etcd->methods[i] = (struct server_method){
            .path = unary[i].path,
            .kind = SERVER_UNARY,
            .on_message = etcd_call_on_message,
            .ctx = &etcd->bindings[i],
        };
    }
    etcd->methods_count = count;
    etcd_relay_add_methods(etcd, etcd->methods, &etcd->methods_count);
    etcd_keep_alive_add_method(etcd, etcd->methods, &etcd->methods_count);
    etcd_watch_init(etcd, etcd->methods, &etcd->methods_count);
    CHECK(etcd->methods_count <= count + ETCD_STREAMS_MAX);
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
        .methods = etcd->methods,
        .methods_count = etcd->methods_count,
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
    uv_loop_t *loop = net_loop(front_net(etcd->front));
    CHECK(uv_timer_init(loop, &etcd->timer) == 0);
    CHECK(uv_timer_init(loop, &etcd->tick) == 0);
    etcd->timer.data = etcd;
    etcd->tick.data = etcd;
    etcd->handles_open = 2;
    CHECK(uv_timer_start(&etcd->tick, on_tick, ETCD_TICK_MS, ETCD_TICK_MS) == 0);
    etcd->observer = (struct node_port_observer){
        .on_leader_changed = on_leader_changed, .on_applied = on_applied, .ctx = etcd};
    node_port_observe(etcd->port, &etcd->observer);
    etcd->sleeper = (struct net_sleeper){.bring = bring, .ctx = etcd};
    net_before_sleep(front_net(etcd->front), NET_STAGE_SERVICES, &etcd->sleeper);
}

static bool bring(void *ctx)
{
    struct etcd *etcd = ctx;
    bool any = etcd_route_flush(etcd);
    if (etcd->homeless.count > 0 && !uv_is_active((uv_handle_t *)&etcd->timer)) {
        CHECK(uv_timer_start(&etcd->timer, on_timer, ETCD_RETRY_MS, 0) == 0);
    }
    return any;
}

static void on_leader_changed(void *ctx)
{
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
    etcd->sweep_pending = applied->sweep_pending;
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
    uint64_t now_ms = clock_monotonic_ms();
    const struct node_office office = node_port_office(etcd->port);
    etcd_lease_tick(etcd);
    etcd_forward_show(etcd);
    sweep(etcd, &office);
    if (office.leader != NULL) {
        etcd->leader_seen_ms = now_ms;
    } else if (now_ms - etcd->leader_seen_ms > no_leader_ms(etcd)) {
        etcd_watch_end_all(etcd, ETCD_NO_LEADER, true);
        etcd_keep_alive_no_leader(etcd);
    }
    if (now_ms - etcd->progress_ms > ETCD_PROGRESS_MS) {
        etcd->progress_ms = now_ms;
        etcd_watch_progress(etcd);
    }
}

static uint64_t no_leader_ms(const struct etcd *etcd)
{
    return ETCD_NO_LEADER_ELECTIONS * (uint64_t)node_port_status(etcd->port).election_ms;
}

/* Entries of the log carry the physical part of a compaction on; when nobody writes, we do. */
static void sweep(struct etcd *etcd, const struct node_office *office)
{
    if (!office->leads || !etcd->sweep_pending || etcd->sweeping) {
        return;
    }
    struct buf ops = {0};
    const struct kv_op op = {.kind = KV_OP_SWEEP};
    kv_op_encode(&ops, &op);
    etcd->sweeping = true;
    etcd_propose(
        etcd, buf_view(&ops), UINT64_MAX, (struct node_port_waiter){.done = on_swept, .ctx = etcd});
    buf_deinit(&ops);
}

static void on_swept(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    struct etcd *etcd = ctx;
    etcd->sweeping = false;
}

static void on_timer(uv_timer_t *timer)
{
    etcd_route_on_timer(timer->data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct etcd *etcd = handle->data;
    if (--etcd->handles_open == 0) {
        mem_free(etcd);
    }
}
