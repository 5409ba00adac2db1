/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL's table of driver.h: what it is made of, its looks, its words. Facts are
 * pg_driver_facts.c, actions pg_driver_action.c. */
#include "base/check.h"
#include "base/mem.h"
#include "replication/postgres/pg_conn.h"
#include "replication/postgres/pg_driver_internal.h"
#include "replication/postgres/pg_words.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void argv(const struct driver *base, const char **argv_out);
static void
look(struct work *work, struct driver *base, bool running, struct driver_look *look_out);
static void words(const struct driver *base, char *text);
static void take_goal(struct driver *base, const struct goal *goal);
static void begin_look(struct driver *base);
static void free_driver(struct driver *base);

/* SSLRequest: a server that speaks TLS answers 'S', one that does not 'N'. */
static const uint8_t SSL_REQUEST[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

const struct driver_kind PG_DRIVER = {
    .name = "postgres",
    .caps = {.sync_quorum = true, .slots = true},
    .stop_signal = SIGINT, /* its fast shutdown: whoever is connected is thrown out */
    .greeting = SSL_REQUEST,
    .greeting_len = sizeof(SSL_REQUEST),
    .argv = argv,
    .look = look,
    .act = pg_driver_act,
    .write = pg_driver_write,
    .words = words,
    .goal = take_goal,
    .begin_look = begin_look,
    .looked = pg_driver_looked,
    .begin = pg_driver_begin,
    .acted = pg_driver_acted,
    .facts = pg_driver_facts,
    .free = free_driver,
};

enum error
pg_driver_new(const struct pg_config *config, struct reason *reason, struct driver **driver_out)
{
    struct pg_driver *driver = mem_new(sizeof(*driver));

    enum error error = pg_place_init(&driver->place, config, reason);
    if (error != ERR_OK) {
        mem_free(driver);
        return error;
    }
    driver->base.kind = &PG_DRIVER;
    (void)snprintf(
        driver->program, sizeof(driver->program), "%s/postgres", driver->place.config.bin_dir);
    pg_written_init(&driver->written);
    driver->place.written = &driver->written;
    pg_prober_init(&driver->probe_job.prober, &driver->place);
    *driver_out = &driver->base;
    return ERR_OK;
}

struct engine_place pg_driver_place(const struct driver *base)
{
    const struct pg_driver *driver = (const struct pg_driver *)(const void *)base;
    const struct pg_place *place = &driver->place;

    CHECK(base->kind == &PG_DRIVER);
    return (struct engine_place){
        .run = place->run,
        .state = place->state,
        .data = place->data,
        .log = place->log,
        .user = place->config.user,
    };
}

uint32_t pg_driver_probe_ms(const struct driver *base)
{
    CHECK(base->kind == &PG_DRIVER);
    return ((const struct pg_driver *)(const void *)base)->place.config.probe_ms;
}

bool pg_driver_has_data(const struct driver *base)
{
    char path[PG_PATH_SIZE * 2];

    CHECK(base->kind == &PG_DRIVER);
    const struct pg_place *place = &((const struct pg_driver *)(const void *)base)->place;
    (void)snprintf(path, sizeof(path), "%s/PG_VERSION", place->data);
    return access(path, F_OK) == 0;
}

static void argv(const struct driver *base, const char **argv_out)
{
    const struct pg_driver *driver = (const struct pg_driver *)(const void *)base;

    argv_out[0] = driver->program;
    argv_out[1] = "-D";
    argv_out[2] = driver->place.data;
    argv_out[3] = NULL;
}

static void take_goal(struct driver *base, const struct goal *goal)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    driver->goal = *goal;
    driver->has_goal = true;
}

static void begin_look(struct driver *base)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    driver->probe_job.wants = pg_driver_watch_wants(driver);
}

/* On the probe thread. */
static void look(struct work *work, struct driver *base, bool running, struct driver_look *look_out)
{
    struct pg_probe_job *job = &((struct pg_driver *)base)->probe_job;
    const struct pg_look *found = &job->look;

    pg_probe(work, &job->prober, running, &job->wants, &job->look);
    *look_out = (struct driver_look){
        .folder = found->folder,
        .left = found->left,
        .writable = !found->in_recovery,
    };
    if (found->answered == ERR_OK) {
        look_out->answer = DRIVER_ANSWERS;
    } else if (found->answered == ERR_DENIED || found->answered == ERR_INVALID) {
        look_out->answer = DRIVER_REFUSES; /* for want of rights or of connections */
    } else {
        look_out->answer = found->starting ? DRIVER_STARTING : DRIVER_SILENT;
    }
}

static void words(const struct driver *base, char *text)
{
    pg_words_read(&((const struct pg_driver *)(const void *)base)->place, text);
}

static void free_driver(struct driver *base)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    pg_prober_deinit(&driver->probe_job.prober);
    pg_written_deinit(&driver->written);
    pg_conn_close(driver->write_conn);
    mem_free(driver);
}
