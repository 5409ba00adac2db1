/* SPDX-License-Identifier: Apache-2.0 */
/* Joins guardian, probe, reach and actions behind driver.h: what lives how long, and when to look
 * again. Facts are pg_driver_facts.c, actions pg_driver_action.c. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "replication/postgres/pg_words.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void set_goal(struct driver *base, const struct goal *goal);
static void free_driver(struct driver *base, void (*closed)(void *ctx), void *ctx);
static enum error open_guard(struct pg_driver *driver, struct reason *reason);
static void on_guard_change(void *ctx);
static void on_reach_change(void *ctx);
static void on_timer(uv_timer_t *timer);
static enum error look(struct work *work, void *job);
static void on_looked(enum error error, const char *message, void *job);
static void changed(struct pg_driver *driver);
static void on_timer_closed(uv_handle_t *handle);
static void on_part_closed(void *ctx);

static const struct driver_ops OPS = {
    .kind = "postgres",
    .run = pg_driver_run,
    .set_goal = set_goal,
    .facts = pg_driver_facts,
    .free = free_driver,
};

enum error pg_driver_new(const struct pg_driver_options *options,
                         struct reason *reason,
                         struct driver **driver_out)
{
    struct pg_driver *driver = mem_new(sizeof(*driver));

    enum error error = pg_place_init(&driver->place, options->config, reason);
    if (error == ERR_OK) {
        driver->base.ops = &OPS;
        driver->loop = options->loop;
        driver->on_change = options->on_change;
        driver->ctx = options->ctx;
        error = open_guard(driver, reason);
    }
    if (error != ERR_OK) {
        mem_free(driver);
        return error;
    }
    pg_written_init(&driver->written);
    driver->place.written = &driver->written;
    pg_prober_init(&driver->probe_job.prober, &driver->place);
    driver->actions = worker_new(options->loop);
    driver->probes = worker_new(options->loop);
    driver->writes = worker_new(options->loop);
    driver->write_job.place = &driver->place;
    driver->reach = pg_reach_new(options->loop, on_reach_change, driver);
    CHECK(uv_timer_init(options->loop, &driver->timer) == 0);
    driver->timer.data = driver;
    CHECK(uv_timer_start(&driver->timer, on_timer, 0, driver->place.config.probe_ms) == 0);
    *driver_out = &driver->base;
    return ERR_OK;
}

bool pg_driver_has_data(const struct driver *driver)
{
    char path[PG_PATH_SIZE * 2];

    CHECK(driver->ops == &OPS);
    const struct pg_place *place = &((const struct pg_driver *)(const void *)driver)->place;
    (void)snprintf(path, sizeof(path), "%s/PG_VERSION", place->data);
    return access(path, F_OK) == 0;
}

struct guard_link *pg_driver_guard(struct driver *driver)
{
    CHECK(driver->ops == &OPS);
    return ((struct pg_driver *)driver)->guard;
}

void pg_driver_probe_now(struct pg_driver *driver)
{
    struct pg_probe_job *job = &driver->probe_job;
    const struct guard_status *guard = guard_link_status(driver->guard);

    if (driver->closing) {
        return;
    }
    if (!worker_is_idle(driver->probes)) {
        driver->probe_again = true;
        return;
    }
    driver->probe_again = false;
    job->running = guard->running;
    job->starts = guard->starts;
    job->begun_ms = clock_monotonic_ms();
    job->ask_words = driver->words_wanted;
    job->wants = pg_driver_watch_wants(driver);
    worker_run(driver->probes, look, on_looked, driver);
}

static void set_goal(struct driver *base, const struct goal *goal)
{
    struct pg_driver *driver = (struct pg_driver *)base;
    bool looks_at = goal->role == GOAL_STANDBY || goal->role == GOAL_CUT;

    if (!driver->has_goal || driver->goal.role != goal->role ||
        driver->goal.epoch.value != goal->epoch.value) {
        pg_driver_start_at_once(driver);
    }
    driver->goal = *goal;
    driver->has_goal = true;
    pg_reach_target(driver->reach,
                    looks_at ? goal->upstream : (struct instance_id){0},
                    looks_at ? goal->upstream_address : "");
}

static void free_driver(struct driver *base, void (*closed)(void *ctx), void *ctx)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    CHECK(!driver->closing);
    driver->closing = true;
    driver->closed = closed;
    driver->closed_ctx = ctx;
    driver->parts_open = 6;
    worker_free(driver->writes, on_part_closed, driver);
    worker_free(driver->actions, on_part_closed, driver);
    worker_free(driver->probes, on_part_closed, driver);
    pg_reach_free(driver->reach, on_part_closed, driver);
    guard_link_free(driver->guard, on_part_closed, driver);
    uv_close((uv_handle_t *)&driver->timer, on_timer_closed);
}

static enum error open_guard(struct pg_driver *driver, struct reason *reason)
{
    const struct pg_place *place = &driver->place;
    char program[PG_PATH_SIZE * 2];
    char log_file[PG_PATH_SIZE * 2];
    char output[PG_PATH_SIZE * 2];

    (void)snprintf(program, sizeof(program), "%s/postgres", place->config.bin_dir);
    (void)snprintf(log_file, sizeof(log_file), "%s/guardian.log", place->log);
    (void)snprintf(output, sizeof(output), "%s/postgres.log", place->log);
    const char *const argv[] = {program, "-D", place->data, NULL};
    struct guard_link_config config = {
        .run_dir = place->run,
        .state_dir = place->state,
        .data_dir = place->data,
        .log_file = log_file,
        .output = output,
        .user = place->config.user,
        .argv = argv,
    };
    enum error error =
        guard_link_new(driver->loop, &config, on_guard_change, driver, &driver->guard);
    if (error != ERR_OK) {
        reason_say(reason, "dir: too long for sockets below it");
    }
    return error;
}

static void on_guard_change(void *ctx)
{
    struct pg_driver *driver = ctx;
    const struct guard_status *guard = guard_link_status(driver->guard);

    if (driver->closing) {
        return;
    }
    bool still = guard->connected && !guard->running;
    if (still && !driver->still) {
        driver->still_ms = clock_monotonic_ms();
    }
    driver->still = still;
    if (guard->connected && guard->starts != driver->seen_starts) {
        driver->seen_starts = guard->starts;
        driver->seen_starts_ms = clock_monotonic_ms();
        driver->alive_ms = 0;
    }
    pg_driver_note_start(driver);
    pg_driver_probe_now(driver);
    changed(driver);
}

static void on_reach_change(void *ctx)
{
    changed(ctx);
}

static void on_timer(uv_timer_t *timer)
{
    struct pg_driver *driver = timer->data;

    pg_driver_write_if_due(driver);
    if (worker_is_idle(driver->probes)) {
        pg_driver_probe_now(driver);
    } else {
        changed(driver); /* it takes long: how long it hangs is news */
    }
}

static enum error look(struct work *work, void *job)
{
    struct pg_probe_job *probe = &((struct pg_driver *)job)->probe_job;

    pg_probe(work, &probe->prober, probe->running, &probe->wants, &probe->look);
    if (probe->ask_words) {
        pg_words_read(probe->prober.place, probe->words);
    }
    return ERR_OK;
}

static void on_looked(enum error error, const char *message, void *job)
{
    struct pg_driver *driver = job;

    (void)message;
    CHECK(error == ERR_OK);
    if (driver->closing) {
        return;
    }
    pg_driver_take_look(driver);
    if (driver->probe_job.ask_words) {
        driver->words_wanted = false;
        memcpy(driver->words, driver->probe_job.words, sizeof(driver->words));
    }
    pg_driver_note_start(driver);
    pg_driver_advance(driver);
    if (driver->probe_again) {
        pg_driver_probe_now(driver);
    }
    changed(driver);
}

static void changed(struct pg_driver *driver)
{
    if (!driver->closing) {
        driver->on_change(driver->ctx);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void on_part_closed(void *ctx)
{
    struct pg_driver *driver = ctx;

    CHECK(driver->parts_open > 0);
    driver->parts_open--;
    if (driver->parts_open == 0) {
        void (*closed)(void *ctx) = driver->closed;
        void *closed_ctx = driver->closed_ctx;
        pg_prober_deinit(&driver->probe_job.prober);
        pg_written_deinit(&driver->written);
        pg_driver_write_close(driver);
        mem_free(driver);
        closed(closed_ctx);
    }
}
