/* SPDX-License-Identifier: Apache-2.0 */
/* See engine.h. Joins guardian, looks, reach and actions: what lives how long, and when to look
 * again. Facts are engine_facts.c, actions engine_action.c. */
#include "replication/engine_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    PARTS = 6,
};

static enum error
open_guard(struct engine *engine, const struct engine_place *place, struct reason *reason);
static void on_guard_change(void *ctx);
static void on_reach_change(void *ctx);
static void on_timer(uv_timer_t *timer);
static enum error look(struct work *work, void *job);
static void on_looked(enum error error, const char *message, void *job);
static void changed(struct engine *engine);
static void on_timer_closed(uv_handle_t *handle);
static void on_part_closed(void *ctx);

enum error
engine_new(const struct engine_options *options, struct reason *reason, struct engine **engine_out)
{
    struct engine *engine = mem_new(sizeof(*engine));
    const struct driver_kind *kind = options->driver->kind;
    engine->driver = options->driver;
    engine->loop = options->loop;
    engine->probe_ms = options->probe_ms;
    engine->on_change = options->on_change;
    engine->ctx = options->ctx;
    enum error error = open_guard(engine, &options->place, reason);
    if (error != ERR_OK) {
        kind->free(engine->driver);
        mem_free(engine);
        return error;
    }
    engine->actions = worker_new(options->loop);
    engine->probes = worker_new(options->loop);
    engine->writes = worker_new(options->loop);
    const struct port_look_options options_of_look = {
        .loop = options->loop,
        .greeting = slice_of(kind->greeting, kind->greeting_len),
        .on_change = on_reach_change,
        .ctx = engine,
    };
    engine->port_look = port_look_new(&options_of_look);
    CHECK(uv_timer_init(options->loop, &engine->timer) == 0);
    engine->timer.data = engine;
    CHECK(uv_timer_start(&engine->timer, on_timer, 0, engine->probe_ms) == 0);
    *engine_out = engine;
    return ERR_OK;
}

void engine_free(struct engine *engine, void (*closed)(void *ctx), void *ctx)
{
    CHECK(!engine->closing);
    engine->closing = true;
    engine->closed = closed;
    engine->closed_ctx = ctx;
    engine->parts_open = PARTS;
    worker_free(engine->writes, on_part_closed, engine);
    worker_free(engine->actions, on_part_closed, engine);
    worker_free(engine->probes, on_part_closed, engine);
    port_look_free(engine->port_look, on_part_closed, engine);
    guard_link_free(engine->guard, on_part_closed, engine);
    uv_close((uv_handle_t *)&engine->timer, on_timer_closed);
}

struct guard_link *engine_guard(struct engine *engine)
{
    return engine->guard;
}

void engine_set_goal(struct engine *engine, const struct goal *goal)
{
    bool looks_at = goal->role == GOAL_STANDBY || goal->role == GOAL_CUT;

    if (!engine->has_goal || engine->goal.role != goal->role ||
        engine->goal.epoch.value != goal->epoch.value) {
        engine_start_at_once(engine);
    }
    engine->goal = *goal;
    engine->has_goal = true;
    engine->driver->kind->goal(engine->driver, goal);
    port_look_target(engine->port_look,
                     looks_at ? goal->upstream : (struct instance_id){0},
                     looks_at ? goal->upstream_address : "");
}

void engine_look_now(struct engine *engine)
{
    struct engine_look *job = &engine->look_job;
    const struct guard_status *guard = guard_link_status(engine->guard);

    if (engine->closing) {
        return;
    }
    if (!worker_is_idle(engine->probes)) {
        engine->look_again = true;
        return;
    }
    engine->look_again = false;
    job->running = guard->running;
    job->starts = guard->starts;
    job->begun_ms = clock_monotonic_ms();
    job->ask_words = engine->words_wanted;
    engine->driver->kind->begin_look(engine->driver);
    worker_run(engine->probes, look, on_looked, engine);
}

static enum error
open_guard(struct engine *engine, const struct engine_place *place, struct reason *reason)
{
    const struct driver_kind *kind = engine->driver->kind;
    const char *argv[GUARD_ARGUMENTS_MAX + 1] = {NULL};
    char log_file[PATH_MAX];
    char output[PATH_MAX];

    kind->argv(engine->driver, argv);
    CHECK(argv[0] != NULL && argv[0][0] == '/');
    (void)snprintf(log_file, sizeof(log_file), "%s/guardian.log", place->log);
    (void)snprintf(output, sizeof(output), "%s/%s.log", place->log, kind->name);
    struct guard_link_config config = {
        .run_dir = place->run,
        .state_dir = place->state,
        .data_dir = place->data,
        .log_file = log_file,
        .output = output,
        .user = place->user,
        .stop_signal = kind->stop_signal,
        .argv = argv,
    };
    enum error error =
        guard_link_new(engine->loop, &config, on_guard_change, engine, &engine->guard);
    if (error != ERR_OK) {
        reason_say(reason, "dir: too long for sockets below it");
    }
    return error;
}

static void on_guard_change(void *ctx)
{
    struct engine *engine = ctx;
    const struct guard_status *guard = guard_link_status(engine->guard);

    if (engine->closing) {
        return;
    }
    bool still = guard->connected && !guard->running;
    if (still && !engine->still) {
        engine->still_ms = clock_monotonic_ms();
    }
    engine->still = still;
    if (guard->connected && guard->starts != engine->seen_starts) {
        engine->seen_starts = guard->starts;
        engine->seen_starts_ms = clock_monotonic_ms();
        engine->alive_ms = 0;
    }
    engine_note_start(engine);
    engine_look_now(engine);
    changed(engine);
}

static void on_reach_change(void *ctx)
{
    changed(ctx);
}

static void on_timer(uv_timer_t *timer)
{
    struct engine *engine = timer->data;

    engine_write_if_due(engine);
    if (worker_is_idle(engine->probes)) {
        engine_look_now(engine);
    } else {
        changed(engine); /* it takes long: how long it hangs is news */
    }
}

/* On the probe thread. */
static enum error look(struct work *work, void *job)
{
    struct engine *engine = job;
    struct engine_look *ours = &engine->look_job;
    const struct driver_kind *kind = engine->driver->kind;

    ours->look = (struct driver_look){0};
    kind->look(work, engine->driver, ours->running, &ours->look);
    ours->words[0] = '\0';
    if (ours->ask_words && kind->words != NULL) {
        kind->words(engine->driver, ours->words);
    }
    return ERR_OK;
}

static void on_looked(enum error error, const char *message, void *job)
{
    struct engine *engine = job;

    (void)message;
    CHECK(error == ERR_OK);
    if (engine->closing) {
        return;
    }
    engine_take_look(engine);
    if (engine->look_job.ask_words) {
        engine->words_wanted = false;
        memcpy(engine->words, engine->look_job.words, sizeof(engine->words));
    }
    engine_note_start(engine);
    engine_advance(engine);
    if (engine->look_again) {
        engine_look_now(engine);
    }
    changed(engine);
}

static void changed(struct engine *engine)
{
    if (!engine->closing) {
        engine->on_change(engine->ctx);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void on_part_closed(void *ctx)
{
    struct engine *engine = ctx;

    CHECK(engine->parts_open > 0);
    engine->parts_open--;
    if (engine->parts_open == 0) {
        void (*closed)(void *ctx) = engine->closed;
        void *closed_ctx = engine->closed_ctx;
        engine->driver->kind->free(engine->driver);
        mem_free(engine);
        closed(closed_ctx);
    }
}
