/* SPDX-License-Identifier: Apache-2.0 */
/* A node on a loop: opened in its folder, its clocks and timers, and its end. */
#include "node/node_uv.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/mem.h"
#include "node/node_internal.h"
#include "node/node_port.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void fill(struct node_io *io);
static enum error
open_folder(struct node_uv *uv, struct raft_configuration *founding, struct reason *reason);
static enum error recover(struct node_uv *uv, struct reason *reason);
static enum error listen_to_peers(struct node_uv *uv, struct reason *reason);
static void let_go(struct node_uv *uv);
static void start_handles(struct node_uv *uv);
static uint64_t now_ms(void *ctx);
static uint64_t wall_ms(void *ctx);
static void arm_timer(void *ctx, uint64_t deadline_ms);
static void die(void *ctx, int exit_code);
static void on_timer(uv_timer_t *timer);
static void on_tick(uv_timer_t *timer);
static bool bring_ports(void *ctx);
static bool bring(void *ctx);
static void close_handle(uv_handle_t *handle);
static void on_handle_closed(uv_handle_t *handle);

enum error
node_open(const struct node_options *options, struct reason *reason, struct node **node_out)
{
    struct node_uv *uv = mem_new(sizeof(*uv));
    uv->options = *options;
    uv->peers = peers_uv_new(options->net, options->tls);
    fill(&uv->io);
    uv->io.ground.paths = &uv->paths;
    check_set_hook(net_shutdown_sockets);

    enum error error = recover(uv, reason);
    if (error != ERR_OK) {
        let_go(uv);
        if (uv->node != NULL) {
            node_free(uv->node);
        }
        peers_uv_free(uv->peers);
        mem_free(uv);
        return error;
    }
    start_handles(uv);
    error = listen_to_peers(uv, reason);
    if (error != ERR_OK) {
        node_close(uv->node);
        return error;
    }
    node_start(uv->node);
    *node_out = uv->node;
    return ERR_OK;
}

void node_register_metrics(void)
{
    node_uv_log_register_metrics();
    node_voices_register_metrics();
    node_results_register_metrics();
}

void node_close(struct node *node)
{
    struct node_uv *uv = node->ctx;
    uv->closing = true;
    node_stop(node);
    peers_uv_free(uv->peers);
    /* The store first: its last commit asks the log how far it is durable. */
    node_uv_file_stop(uv);
    let_go(uv);
    check_set_hook(NULL);
    net_before_sleep_no_more(uv->options.net, &uv->ports);
    net_before_sleep_no_more(uv->options.net, &uv->sleeper);
    close_handle((uv_handle_t *)&uv->timer);
    close_handle((uv_handle_t *)&uv->tick);
    close_handle((uv_handle_t *)&uv->durable);
}

void node_uv_release(struct node_uv *uv)
{
    CHECK(uv->handles_open > 0);
    uv->handles_open--;
    if (uv->handles_open == 0) {
        uv_sem_destroy(&uv->store_read);
        node_free(uv->node);
        mem_free(uv);
    }
}

void node_uv_die(const char *event, enum error error, const char *reason)
{
    log_event(LOG_ERROR, event, "error=%s why=%s", error_name(error), log_quote(reason));
    die(NULL, 0);
    abort();
}

static void fill(struct node_io *io)
{
    *io = (struct node_io){
        .ground.disk = disk_real(),
        .now_ms = now_ms,
        .wall_ms = wall_ms,
        .arm_timer = arm_timer,
        .die = die,
    };
    node_uv_log_fill(io);
    node_uv_store_fill(io);
    node_uv_file_fill(io);
}

static enum error
open_folder(struct node_uv *uv, struct raft_configuration *founding, struct reason *reason)
{
    const struct member_config *config = uv->options.config;
    const struct member_expected expected = {
        .cluster = config->cluster, .member = config->member, .name = config->name};
    TRY(member_dir_open(config->dir, &expected, reason, &uv->dir));
    struct node_paths *paths = &uv->paths;
    (void)snprintf(paths->dir, sizeof(paths->dir), "%s", config->dir);
    (void)snprintf(
        paths->snapshots, sizeof(paths->snapshots), "%s", member_dir_snapshots_path(uv->dir));
    (void)snprintf(paths->store, sizeof(paths->store), "%s", member_dir_store_path(uv->dir));
    uv->snapshots = (struct snapshot_dir){.disk = disk_real(), .path = paths->snapshots};
    const struct member_identity *identity = member_dir_identity(uv->dir);
    if (identity->founding.len == 0) {
        return ERR_OK; /* it joins: others tell it who the members are */
    }
    enum error error = raft_configuration_decode(buf_view(&identity->founding), founding);
    if (error != ERR_OK) {
        return reason_set(reason,
                          error,
                          "%s/identity: the founding configuration cannot be read: restore the "
                          "file from a backup, or join as a new member",
                          config->dir);
    }
    return ERR_OK;
}

static enum error recover(struct node_uv *uv, struct reason *reason)
{
    uint64_t seed[2];
    struct node_core core = {.io = &uv->io,
                             .ctx = uv,
                             .links = peers_uv_io(),
                             .links_ctx = uv->peers,
                             .config = uv->options.config,
                             .vouch_hint = uv->vouch_hint};
    TRY(open_folder(uv, &core.founding, reason));
    /* On a full disk this gives the reserve up, and with it room to start. */
    uv->space = space_new(disk_real(), uv->paths.dir);
    space_step(uv->space);
    id128_random(&seed[0], &seed[1]);
    core.seed = seed[0];
    core.incarnation = seed[1] | 1;
    (void)snprintf(uv->vouch_hint,
                   sizeof(uv->vouch_hint),
                   "indaba member vouch --dir %s",
                   uv->options.config->dir);
    uv->node = node_new(&core);
    TRY(node_recover(uv->node, reason));
    TRY(node_uv_log_start(uv, reason));
    return node_uv_store_start(uv, reason);
}

static enum error listen_to_peers(struct node_uv *uv, struct reason *reason)
{
    const struct member_config *config = uv->options.config;
    enum error error = peers_uv_listen(uv->peers, uv->node->peers, config, reason);
    if (error != ERR_OK) {
        reason_say(reason, "listen.peer %s: %s", config->listen_peer, reason->text);
    }
    return error;
}

/* Of everything that a start takes, or has taken so far. */
static void let_go(struct node_uv *uv)
{
    if (uv->applier != NULL) {
        applier_stop(uv->applier);
    }
    if (uv->store != NULL) {
        store_close(uv->store);
    }
    if (uv->writer != NULL) {
        wal_writer_stop(uv->writer);
    }
    if (uv->wal != NULL) {
        wal_close(uv->wal);
    }
    if (uv->space != NULL) {
        space_free(uv->space);
    }
    if (uv->dir != NULL) {
        member_dir_close(uv->dir);
    }
}

static void start_handles(struct node_uv *uv)
{
    uv_loop_t *loop = net_loop(uv->options.net);
    CHECK(uv_timer_init(loop, &uv->timer) == 0);
    CHECK(uv_timer_init(loop, &uv->tick) == 0);
    /* Its first use follows the first write, after this. */
    CHECK(uv_async_init(loop, &uv->durable, node_uv_log_on_async) == 0);
    CHECK(uv_sem_init(&uv->store_read, 0) == 0);
    uv->timer.data = uv;
    uv->tick.data = uv;
    uv->durable.data = uv;
    uv->handles_open += 3;
    uv->ports = (struct net_sleeper){.bring = bring_ports, .ctx = uv};
    net_before_sleep(uv->options.net, NET_STAGE_PORTS, &uv->ports);
    uv->sleeper = (struct net_sleeper){.bring = bring, .ctx = uv};
    net_before_sleep(uv->options.net, NET_STAGE_CORE, &uv->sleeper);
    CHECK(uv_timer_start(&uv->tick, on_tick, CONTROLLER_TICK_MS, CONTROLLER_TICK_MS) == 0);
}

static uint64_t now_ms(void *ctx)
{
    (void)ctx;
    return clock_monotonic_ms();
}

static uint64_t wall_ms(void *ctx)
{
    (void)ctx;
    return clock_wall_ms();
}

static void arm_timer(void *ctx, uint64_t deadline_ms)
{
    struct node_uv *uv = ctx;
    if (deadline_ms == UINT64_MAX) {
        CHECK(uv_timer_stop(&uv->timer) == 0);
        return;
    }
    uint64_t now = clock_monotonic_ms();
    uv_update_time(uv->timer.loop);
    CHECK(uv_timer_start(&uv->timer, on_timer, deadline_ms > now ? deadline_ms - now : 0, 0) == 0);
}

/* Sockets first: peers see the end at once. */
static void die(void *ctx, int exit_code)
{
    (void)ctx;
    (void)log_flush(LOG_FATAL_MS); /* the log may be a socket, too */
    net_shutdown_sockets();
    if (exit_code != 0) {
        _exit(exit_code);
    }
    abort();
}

static void on_timer(uv_timer_t *timer)
{
    const struct node_uv *uv = timer->data;
    node_timer(uv->node);
}

static void on_tick(uv_timer_t *timer)
{
    const struct node_uv *uv = timer->data;
    node_tick(uv->node);
}

static bool bring_ports(void *ctx)
{
    const struct node_uv *uv = ctx;
    return node_ports_flush(uv->node);
}

static bool bring(void *ctx)
{
    const struct node_uv *uv = ctx;
    return node_flush(uv->node);
}

static void close_handle(uv_handle_t *handle)
{
    uv_close(handle, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    node_uv_release(handle->data);
}
