/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same for every database under a sidecar: its guardian, looks again and again, one
 * action after the other, the reckoning of hung and alive, starts that fail, fences that overtake,
 * how the primary's port looks from here. What differs is a driver (driver.h). The agent's turn is
 *   engine_facts -> keeper_turn -> (kept_file_save) -> engine_run, again on every change.
 * Slow work is done on threads, so that neither a hung database nor a dead disk holds up the loop;
 * all calls and callbacks are on the loop thread.
 *
 * What the agent adds to the facts itself: fresh_incarnation, lease_epoch, marks. After an action
 * that failed the agent should wait (250 ms and growing) before it asks for the same one again. */
#ifndef INDABA_REPLICATION_ENGINE_H
#define INDABA_REPLICATION_ENGINE_H

#include "base/reason.h"
#include "replication/driver.h"

struct engine;

/* Absolute paths; copied. */
struct engine_place {
    const char *run;   /* the guardian's socket and lock; at most 90 bytes */
    const char *state; /* the guardian's file */
    const char *data;  /* processes that work in it belong to the database */
    const char *log;   /* guardian.log, and what the database prints: KIND.log */
    const char *user;  /* to run it as; "": as we do */
};

struct engine_options {
    struct uv_loop_s *loop;
    struct driver *driver; /* taken, also on failure */
    struct engine_place place;
    uint32_t probe_ms;            /* between looks */
    void (*on_change)(void *ctx); /* facts may have changed */
    void *ctx;
};

/* Starts the guardian unless it runs. ERR_CONFIG with `reason`. */
MUST_CHECK enum error
engine_new(const struct engine_options *options, struct reason *reason, struct engine **engine_out);
/* Ends threads, handles and the driver; the database and the guardian run on. `closed` comes from
 * the loop when nothing is left; no other callback comes after this call. */
void engine_free(struct engine *engine, void (*closed)(void *ctx), void *ctx);

/* The line to the guardian, for lease deadlines; lives as long as the engine. */
struct guard_link *engine_guard(struct engine *engine);

/* Starts an action; `done` is called once, later, from the loop. ERR_BUSY while another one runs,
 * but FENCE is always taken: it cancels what runs, and goes to the guardian at once. ERR_INVALID
 * for an action that needs no driver. */
MUST_CHECK enum error engine_run(struct engine *engine,
                                 const struct driver_request *request,
                                 driver_done *done,
                                 void *ctx);

/* Tells the newest goal, each time a new one arrives (copied): whose port to look at, which pair
 * counts for `acked`, the names of this standby. */
void engine_set_goal(struct engine *engine, const struct goal *goal);

/* What is known now; never waits. Fields that nobody knows are zero. */
void engine_facts(const struct engine *engine, struct keeper_facts *facts_out);

#endif
