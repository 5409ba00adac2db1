/* SPDX-License-Identifier: Apache-2.0 */
/* See serve.h: parse, build, run, stop. SIGTERM and SIGINT drain: leadership is handed over, calls
 * end, the store is closed; a second one ends at once, which is always safe. */
#include "cmd/serve.h"

#include "api/api.h"
#include "api/ops.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/mem.h"
#include "etcd/etcd.h"
#include "node/node.h"
#include "rpc/tls_watch.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

enum {
    DRAIN_MS = 1000,
    TRANSFER_POLL_MS = 20,
    FILES_WANTED = 4096, /* below it, say so */
};

struct serve {
    uv_loop_t loop;
    struct member_config config;
    struct net *net;
    struct tls *tls;
    struct node *node;
    struct front *front;
    struct api *api;
    struct etcd *etcd;
    struct ops *ops;
    uv_signal_t on_term;
    uv_signal_t on_int;
    uv_signal_t on_hup;
    uv_timer_t drain;
    struct tls_watch *tls_watch;
    uint64_t drain_deadline_ms;
    bool stopping;
};

static int run(struct serve *serve);
static void raise_files_limit(void);
static enum error start(struct serve *serve, struct reason *reason);
static void start_handles(struct serve *serve);
static void on_signal(uv_signal_t *handle, int signal_number);
static void on_reload(uv_signal_t *handle, int signal_number);
static void on_drain_poll(uv_timer_t *timer);
static void on_drained(void *ctx);
static void stop(struct serve *serve);

int serve_main(int argc, char **argv)
{
    const char *path = NULL;
    bool check_only = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else if (strcmp(argv[i], "--check-config") == 0) {
            check_only = true;
        } else {
            path = NULL;
            break;
        }
    }
    if (path == NULL) {
        bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;
        (void)fprintf(asked ? stdout : stderr,
                      "Usage: indaba serve --config FILE [--check-config]\n");
        return asked ? 0 : 2;
    }
    struct serve *serve = mem_new(sizeof(*serve));
    struct reason reason = {0};
    int code = 2;
    if (member_config_load(path, &reason, &serve->config) != ERR_OK) {
        (void)fprintf(stderr, "indaba serve: %s\n", reason.text);
    } else if (check_only) {
        (void)printf("%s is valid\n", path);
        code = 0;
    } else {
        code = run(serve);
    }
    mem_free(serve);
    return code;
}

static int run(struct serve *serve)
{
    char suffix[NAME_SIZE + 16];
    (void)snprintf(suffix, sizeof(suffix), "member=%s", serve->config.name);
    log_set_suffix(suffix);
    log_set_level(serve->config.log_level);
    log_writer_start(LOG_QUEUE_BYTES);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_files_limit();
    if (uv_loop_init(&serve->loop) != 0) {
        (void)fprintf(stderr, "indaba serve: no event loop can be made\n");
        return 1;
    }
    struct reason reason = {0};
    if (start(serve, &reason) != ERR_OK) {
        log_event(LOG_ERROR, "member.start_failed", "why=%s", log_quote(reason.text));
        (void)log_flush(LOG_FLUSH_MS);
        (void)fprintf(stderr, "indaba serve: %s\n", reason.text);
        _exit(1); /* at once: what was opened goes with the process, and nobody counts it */
    }
    log_event(LOG_INFO,
              "member.started",
              "api=%s peer=%s ops=%s dir=%s",
              serve->config.listen_api,
              serve->config.listen_peer,
              serve->config.listen_ops,
              log_quote(serve->config.dir));
    (void)uv_run(&serve->loop, UV_RUN_DEFAULT);
    net_free(serve->net);
    (void)uv_run(&serve->loop, UV_RUN_DEFAULT);
    tls_free(serve->tls);
    (void)uv_loop_close(&serve->loop);
    log_event(LOG_INFO, "member.stopped", "why=signal");
    return 0;
}

/* Each client is a descriptor, and so is each file of the log. Shells give 1024 of many more. */
static void raise_files_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return;
    }
    files.rlim_cur = files.rlim_max;
    bool raised = setrlimit(RLIMIT_NOFILE, &files) == 0;
    bool few = getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < FILES_WANTED;
    log_event(
        few ? LOG_WARN : LOG_INFO,
        "files.limit",
        "descriptors=%llu raised=%s hint=%s",
        (unsigned long long)files.rlim_cur,
        raised ? "yes" : "no",
        log_quote(few ? "half of them are for clients; raise the hard limit (LimitNOFILE)" : "-"));
}

static enum error start(struct serve *serve, struct reason *reason)
{
    const struct member_config *config = &serve->config;
    const struct tls_files files = {
        .ca_path = config->tls_ca, .cert_path = config->tls_cert, .key_path = config->tls_key};
    TRY(tls_new(&files, reason, &serve->tls));
    char expected[NAME_SIZE + 16];
    (void)snprintf(expected, sizeof(expected), "/member/%s", config->name);
    if (strcmp(tls_identity_path(tls_identity(serve->tls)), expected) != 0) {
        return reason_set(
            reason,
            ERR_CONFIG,
            "%s: the certificate is of %.200s, but this member needs one of %s: issue "
            "it with `indaba cert issue`",
            config->tls_cert,
            tls_identity(serve->tls),
            expected);
    }
    serve->net = net_new(&serve->loop);
    const struct node_options node = {.net = serve->net, .tls = serve->tls, .config = config};
    TRY(node_open(&node, reason, &serve->node));
    const struct front_options front = {.net = serve->net, .tls = serve->tls, .node = serve->node};
    TRY(front_new(&front, reason, &serve->front));
    serve->api = api_new(serve->front);
    TRY(etcd_new(serve->front, reason, &serve->etcd));
    const struct ops_options ops = {.net = serve->net,
                                    .tls = serve->tls,
                                    .node = serve->node,
                                    .front = serve->front,
                                    .api = serve->api};
    TRY(ops_new(&ops, reason, &serve->ops));
    start_handles(serve);
    return ERR_OK;
}

static void start_handles(struct serve *serve)
{
    (void)uv_signal_init(&serve->loop, &serve->on_term);
    (void)uv_signal_init(&serve->loop, &serve->on_int);
    (void)uv_signal_init(&serve->loop, &serve->on_hup);
    (void)uv_timer_init(&serve->loop, &serve->drain);
    serve->on_term.data = serve;
    serve->on_int.data = serve;
    serve->on_hup.data = serve;
    serve->drain.data = serve;
    (void)uv_signal_start(&serve->on_term, on_signal, SIGTERM);
    (void)uv_signal_start(&serve->on_int, on_signal, SIGINT);
    (void)uv_signal_start(&serve->on_hup, on_reload, SIGHUP);
    serve->tls_watch = tls_watch_new(&serve->loop, serve->tls);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct serve *serve = handle->data;
    if (serve->stopping) {
        log_event(LOG_WARN, "member.killed", "signal=%d", signal_number);
        (void)log_flush(LOG_FATAL_MS);
        _Exit(1);
    }
    serve->stopping = true;
    log_event(LOG_INFO, "member.draining", "signal=%d", signal_number);
    ops_set_draining(serve->ops);
    node_transfer(serve->node, LOG_WARN);
    serve->drain_deadline_ms = uv_now(&serve->loop) + DRAIN_MS;
    (void)uv_timer_start(&serve->drain, on_drain_poll, 0, TRANSFER_POLL_MS);
}

static void on_reload(uv_signal_t *handle, int signal_number)
{
    (void)signal_number;
    struct serve *serve = handle->data;
    tls_watch_now(serve->tls_watch);
    node_load_vouched(serve->node);
}

/* Waits until another member leads, but not for ever. */
static void on_drain_poll(uv_timer_t *timer)
{
    struct serve *serve = timer->data;
    uint32_t members = 0;
    (void)node_members(serve->node, &members);
    if (node_office(serve->node).leads && members > 1 &&
        uv_now(&serve->loop) < serve->drain_deadline_ms) {
        return;
    }
    (void)uv_timer_stop(timer);
    api_drain(serve->api);
    etcd_drain(serve->etcd);
    front_drain(serve->front, DRAIN_MS, on_drained, serve);
}

static void on_drained(void *ctx)
{
    stop(ctx);
}

static void stop(struct serve *serve)
{
    ops_free(serve->ops);
    front_cut(serve->front);
    etcd_free(serve->etcd);
    api_free(serve->api);
    front_free(serve->front);
    node_close(serve->node);
    uv_close((uv_handle_t *)&serve->on_term, NULL);
    uv_close((uv_handle_t *)&serve->on_int, NULL);
    uv_close((uv_handle_t *)&serve->on_hup, NULL);
    uv_close((uv_handle_t *)&serve->drain, NULL);
    tls_watch_free(serve->tls_watch);
}
