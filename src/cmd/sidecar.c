/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/sidecar.h. Builds the parts in order of need and takes them down in reverse. */
#include "cmd/sidecar.h"

#include "base/check.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "replication/agent.h"
#include "replication/role_http.h"
#include "rpc/tls_watch.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
    PATH_SIZE = 640,
    /* A frozen leader closes no socket: pings find it well within the lease. */
    KEEPALIVE_MS = 500,
    KEEPALIVE_TIMEOUT_MS = 1000,
    ATTEMPT_TIMEOUT_MS = 1000,
    STOP_MS = 1000, /* so long an end waits for threads */
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

struct sidecar {
    const struct sidecar_kind *const *kinds;
    struct sidecar_config config;
    uv_loop_t loop;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_signal_t hangup;
    struct net *net;
    struct tls *tls;
    struct tls_watch *tls_watch;
    struct client *client;
    struct engine *engine;
    struct instance_dir *dir;
    struct agent *agent;
    struct role_http *role_http;
    bool engine_closed;
};

static void forget_environment(void);
static int parse(int argc, char **argv, struct sidecar *sidecar, bool *check_only);
static bool build(struct sidecar *sidecar, struct reason *reason);
static bool build_driver(struct sidecar *sidecar, struct reason *reason);
static void take_down(struct sidecar *sidecar);
static void on_facts_change(void *ctx);
static void on_engine_closed(void *ctx);
static void on_stop_signal(uv_signal_t *signal, int number);
static void on_stop_late(uv_timer_t *timer);
static void on_hangup(uv_signal_t *signal, int number);
static void close_handle(uv_handle_t *handle, void *ctx);

int sidecar_main(int argc, char **argv)
{
    static const struct sidecar_kind *const KINDS[] = {&SIDECAR_POSTGRES, NULL};
    return sidecar_run(argc, argv, KINDS);
}

int sidecar_run(int argc, char **argv, const struct sidecar_kind *const *kinds)
{
    static struct sidecar sidecar; /* large, and one per process */
    sidecar.kinds = kinds;
    bool check_only = false;
    int code = parse(argc, argv, &sidecar, &check_only);
    if (code != EXIT_OK || check_only) {
        return code;
    }
    forget_environment();
    log_set_level(sidecar.config.log_level);
    char suffix[NAME_SIZE * 2 + 32];
    (void)snprintf(
        suffix, sizeof(suffix), "shard=%s instance=%s", sidecar.config.shard, sidecar.config.name);
    log_set_suffix(suffix);
    log_writer_start(LOG_QUEUE_BYTES);
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&sidecar.loop) == 0);
    struct reason reason = {0};
    if (!build(&sidecar, &reason)) {
        log_event(LOG_ERROR, "sidecar.not_started", "reason=%s", log_quote(reason.text));
        (void)log_flush(LOG_FLUSH_MS);
        (void)fprintf(stderr, "indaba sidecar: %s\n", reason.text);
        return EXIT_FAILED;
    }
    log_event(LOG_INFO,
              "sidecar.started",
              "address=%s region=%s dir=%s",
              sidecar.config.address,
              sidecar.config.region,
              log_quote(sidecar.config.dir));
    (void)uv_run(&sidecar.loop, UV_RUN_DEFAULT);
    take_down(&sidecar);
    log_event(LOG_INFO, "sidecar.stopped", "database=left_running");
    return EXIT_OK;
}

/* libpq, PostgreSQL and its programs read PG…: a shell's PGOPTIONS or PGHOST must not decide how a
 * sidecar reaches its database. Before any thread runs. */
static void forget_environment(void)
{
    for (char **at = environ; *at != NULL;) {
        char name[NAME_SIZE];
        size_t len = strcspn(*at, "=");
        if (strncmp(*at, "PG", 2) != 0 || len >= sizeof(name)) {
            at++;
            continue;
        }
        memcpy(name, *at, len);
        name[len] = '\0';
        CHECK(unsetenv(name) == 0);
        at = environ; /* it moved */
    }
}

static int parse(int argc, char **argv, struct sidecar *sidecar, bool *check_only)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    int option = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        if (option == 'c') {
            path = optarg;
        } else if (option == 'k') {
            *check_only = true;
        } else {
            FILE *to = option == 'h' ? stdout : stderr;
            (void)fprintf(to, "Usage: indaba sidecar --config FILE [--check-config]\n");
            *check_only = true;
            return option == 'h' ? EXIT_OK : EXIT_USAGE;
        }
    }
    if (path == NULL || optind < argc) {
        (void)fprintf(stderr, "Usage: indaba sidecar --config FILE [--check-config]\n");
        return EXIT_USAGE;
    }
    struct reason reason = {0};
    if (sidecar_config_load(path, &reason, &sidecar->config) != ERR_OK) {
        (void)fprintf(stderr, "indaba sidecar: %s\n", reason.text);
        return EXIT_USAGE;
    }
    if (*check_only) {
        (void)printf("%s: ok\n", path);
    }
    return EXIT_OK;
}

static bool build(struct sidecar *sidecar, struct reason *reason)
{
    const struct sidecar_config *config = &sidecar->config;
    sidecar->net = net_new(&sidecar->loop);
    struct tls_files files = {
        .ca_path = config->tls_ca,
        .cert_path = config->tls_cert,
        .key_path = config->tls_key,
        /* Its pages are plain on loopback. */
        .is_client_only = config->http_address[0] == '\0' || net_is_loopback(config->http_address),
    };
    if (tls_new(&files, reason, &sidecar->tls) != ERR_OK) {
        return false;
    }
    const char *addresses[SIDECAR_MEMBERS_MAX];
    for (uint32_t i = 0; i < config->members_count; i++) {
        addresses[i] = config->members[i];
    }
    struct client_options options = {
        .addresses = addresses,
        .addresses_count = config->members_count,
        .tls = sidecar->tls,
        .attempt_timeout_ms = ATTEMPT_TIMEOUT_MS,
        .keepalive_ms = KEEPALIVE_MS,
        .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
    };
    if (client_new(sidecar->net, &options, &sidecar->client) != ERR_OK) {
        reason_say(reason, "cluster.members: not numeric HOST:PORT");
        return false;
    }
    if (!build_driver(sidecar, reason)) {
        return false;
    }
    struct role_http_options http_options = {
        .net = sidecar->net,
        .tls = sidecar->tls,
        .config = config,
        .agent = sidecar->agent,
    };
    if (config->http_address[0] != '\0' &&
        role_http_new(&http_options, reason, &sidecar->role_http) != ERR_OK) {
        return false;
    }
    CHECK(uv_signal_init(&sidecar->loop, &sidecar->terminate) == 0);
    CHECK(uv_signal_init(&sidecar->loop, &sidecar->interrupt) == 0);
    CHECK(uv_signal_init(&sidecar->loop, &sidecar->hangup) == 0);
    CHECK(uv_signal_start(&sidecar->terminate, on_stop_signal, SIGTERM) == 0);
    CHECK(uv_signal_start(&sidecar->interrupt, on_stop_signal, SIGINT) == 0);
    CHECK(uv_signal_start(&sidecar->hangup, on_hangup, SIGHUP) == 0);
    sidecar->hangup.data = sidecar;
    sidecar->tls_watch = tls_watch_new(&sidecar->loop, sidecar->tls);
    return true;
}

static bool build_driver(struct sidecar *sidecar, struct reason *reason)
{
    const struct sidecar_config *config = &sidecar->config;
    struct sidecar_database database = {0};
    const struct sidecar_kind *const *kind = sidecar->kinds;
    while (*kind != NULL && strcmp((*kind)->name, config->kind) != 0) {
        kind++;
    }
    if (*kind == NULL) {
        reason_say(reason, "instance.kind: this program drives no %s", config->kind);
        return false;
    }
    if (!(*kind)->make(config, reason, &database)) {
        return false;
    }
    struct engine_options engine_options = {
        .loop = &sidecar->loop,
        .driver = database.driver,
        .place = database.place,
        .probe_ms = database.probe_ms,
        .on_change = on_facts_change,
        .ctx = sidecar,
    };
    if (engine_new(&engine_options, reason, &sidecar->engine) != ERR_OK) {
        return false;
    }
    guard_link_listen(engine_guard(sidecar->engine), on_facts_change, sidecar);
    char state_path[PATH_SIZE];
    (void)snprintf(state_path, sizeof(state_path), "%s/state", config->dir);
    if (instance_dir_open(state_path, config->shard, config->name, reason, &sidecar->dir) !=
        ERR_OK) {
        return false;
    }
    char members_path[PATH_SIZE];
    (void)snprintf(members_path, sizeof(members_path), "%s/state/members", config->dir);
    (void)snprintf(state_path, sizeof(state_path), "%s/state/keeper.state", config->dir);
    struct agent_options options = {
        .config = config,
        .net = sidecar->net,
        .client = sidecar->client,
        .engine = sidecar->engine,
        .dir = sidecar->dir,
        .state_path = state_path,
        .members_path = members_path,
    };
    if (agent_new(&options, reason, &sidecar->agent) != ERR_OK) {
        return false;
    }
    /* Each folder of ours was given its incarnation before it was made. */
    struct agent_view view;
    agent_view(sidecar->agent, &view);
    if (view.state.incarnation.value == 0 && database.has_data) {
        reason_say(reason,
                   "%.120s holds a database that this sidecar did not make, and state/ "
                   "knows nothing of it: it was not touched. Give the instance an empty folder",
                   database.place.data);
        return false;
    }
    return true;
}

static void take_down(struct sidecar *sidecar)
{
    uv_timer_t late;
    CHECK(uv_timer_init(&sidecar->loop, &late) == 0);
    CHECK(uv_timer_start(&late, on_stop_late, STOP_MS, 0) == 0);
    uv_unref((uv_handle_t *)&late);
    if (sidecar->role_http != NULL) {
        role_http_free(sidecar->role_http);
    }
    agent_free(sidecar->agent);
    sidecar->agent = NULL;
    client_free(sidecar->client);
    engine_free(sidecar->engine, on_engine_closed, sidecar);
    while (!sidecar->engine_closed) {
        (void)uv_run(&sidecar->loop, UV_RUN_ONCE);
    }
    instance_dir_close(sidecar->dir);
    tls_watch_free(sidecar->tls_watch);
    net_free(sidecar->net);
    uv_walk(&sidecar->loop, close_handle, &late);
    (void)uv_run(&sidecar->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&late, NULL);
    (void)uv_run(&sidecar->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&sidecar->loop);
    tls_free(sidecar->tls);
}

static void on_facts_change(void *ctx)
{
    struct sidecar *sidecar = ctx;
    if (sidecar->agent != NULL) {
        agent_changed(sidecar->agent);
    }
}

static void on_engine_closed(void *ctx)
{
    struct sidecar *sidecar = ctx;
    sidecar->engine_closed = true;
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
    log_event(LOG_INFO, "sidecar.stopping", "signal=%d", number);
    uv_stop(signal->loop);
}

static void on_hangup(uv_signal_t *signal, int number)
{
    (void)number;
    const struct sidecar *sidecar = signal->data;
    tls_watch_now(sidecar->tls_watch);
}

/* A thread waits for a disk that does not answer. Whatever is half written is as after a crash, and
 * the guardian ends at its deadline what may be writable: the operator waits for neither. */
static void on_stop_late(uv_timer_t *timer)
{
    (void)timer;
    log_event(LOG_WARN,
              "sidecar.stopped",
              "database=left_running why=%s",
              log_quote("it waits for a disk, most likely: what was being written may not be "
                        "durable"));
    (void)log_flush(LOG_FLUSH_MS);
    _exit(EXIT_OK);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    if (handle != ctx && !uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}
