/* SPDX-License-Identifier: Apache-2.0 */
/* Does the primary's disk take writes? Looks only read, and a disk that hangs lets them: a commit
 * would wait for ever beside them. So once a second the driver makes a small write durable, on a
 * thread of its own, which may hang with the disk; how long it does is told. */
#include "replication/engine_internal.h"

#include "base/clock.h"

enum {
    WRITE_EVERY_MS = 1000,
    STALLED_MS = 1000, /* less is no news */
};

static enum error write_once(struct work *work, void *job);
static void on_written(enum error error, const char *message, void *job);

void engine_write_if_due(struct engine *engine)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool primary = engine->has_goal && engine->goal.role == GOAL_PRIMARY &&
                   engine_now(engine).of_now && engine->writable;

    if (engine->driver->kind->write == NULL || engine->closing || !primary ||
        !worker_is_idle(engine->writes) || now_ms - engine->write_begun_ms < WRITE_EVERY_MS) {
        return;
    }
    engine->write_begun_ms = now_ms;
    worker_run(engine->writes, write_once, on_written, engine);
}

uint64_t engine_write_stalled_ms(const struct engine *engine)
{
    uint64_t for_ms =
        worker_is_idle(engine->writes) ? 0 : clock_monotonic_ms() - engine->write_begun_ms;

    return for_ms < STALLED_MS ? 0 : for_ms;
}

static enum error write_once(struct work *work, void *job)
{
    struct engine *engine = job;

    return engine->driver->kind->write(work, engine->driver);
}

/* What fails has not hung: only the wait for the flush has no end of its own. */
static void on_written(enum error error, const char *message, void *job)
{
    (void)error;
    (void)message;
    (void)job;
}
