/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the instance, out of the guardian's status and the newest looks. A look counts
 * only for the database process it was made of: what was seen before a start says nothing after
 * it. */
#include "replication/engine_internal.h"

#include "base/check.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ALIVE_FOR_MS = 1500,     /* a sign of life this old is none */
    STARTING_FOR_MS = 10000, /* no sign at all for so long after a start: hung */
    LEFT_LOOK_MS = 500,
};

static enum instance_state state_now(const struct engine *engine, uint32_t *hung_ms_out);
static bool look_is_of_now(const struct engine *engine);
static void fill_start(const struct engine *engine, struct keeper_facts *facts);
static void fill_lacking(const struct engine *engine, struct keeper_facts *facts);

void engine_facts(const struct engine *engine, struct keeper_facts *facts_out)
{
    struct keeper_facts facts = {0};

    facts.state = state_now(engine, &facts.hung_ms);
    facts.running = engine->fencing                       ? KEEPER_FENCE
                    : engine->action.phase != ENGINE_IDLE ? engine->action.request.kind
                                                          : KEEPER_NONE;
    facts.primary_reach =
        port_look_get(engine->port_look, &facts.primary_reach_of, &facts.primary_reach_ms);
    fill_start(engine, &facts);
    engine_start_facts(engine, &facts);
    const struct driver_now now = engine_now(engine);
    if (now.stalled_ms > 0) {
        facts.write_stalled_ms =
            now.stalled_ms < UINT32_MAX ? (uint32_t)now.stalled_ms : UINT32_MAX;
        (void)snprintf(facts.concern,
                       sizeof(facts.concern),
                       "its disk hangs: a small write has not become durable for %" PRIu64 " s",
                       now.stalled_ms / 1000);
    }
    uint32_t silent_s = guard_link_silent_s(engine->guard);
    if (silent_s > 0) {
        (void)snprintf(facts.concern,
                       sizeof(facts.concern),
                       "its guardian has not answered for %" PRIu32 " s",
                       silent_s);
    }
    engine->driver->kind->facts(engine->driver, &now, &facts);
    fill_lacking(engine, &facts);
    *facts_out = facts;
}

struct driver_now engine_now(const struct engine *engine)
{
    uint32_t unused = 0;
    struct driver_now now = {
        .state = state_now(engine, &unused),
        .of_now = look_is_of_now(engine),
        .pid = guard_link_status(engine->guard)->pid,
        .starts = guard_link_status(engine->guard)->starts,
        .looked_ms = engine->look_ms,
        .start_failures = engine->start_failures,
        .gate_page = guard_link_status(engine->guard)->page,
    };
    if (now.state == INSTANCE_PRIMARY || now.state == INSTANCE_STANDBY) {
        now.stalled_ms = engine_write_stalled_ms(engine);
    }
    return now;
}

void engine_take_look(struct engine *engine)
{
    const struct engine_look *job = &engine->look_job;
    const struct driver_look *look = &job->look;
    struct driver_seen seen = {.begun_ms = job->begun_ms, .was_of_now = look_is_of_now(engine)};

    engine->looked = true;
    engine->folder = look->folder;
    engine->look_starting = look->answer == DRIVER_STARTING;
    engine->look_begun_ms = job->begun_ms;
    if (!job->running) {
        engine->left = look->left;
        engine->left_starts = job->starts;
    }
    seen.current = job->running && job->starts == engine->seen_starts;
    if (seen.current) {
        seen.first = engine->found_starts != job->starts;
        engine->found_starts = job->starts;
        /* Refused for want of rights or of connections: alive all the same. */
        if (look->answer == DRIVER_REFUSES || look->answer == DRIVER_ANSWERS) {
            engine->alive_ms = clock_monotonic_ms();
        }
        if (look->answer == DRIVER_ANSWERS) {
            engine->look_starts = job->starts;
            engine->look_ms = clock_monotonic_ms();
            engine->writable = look->writable;
        }
    }
    engine->driver->kind->looked(engine->driver, &seen);
}

static enum instance_state state_now(const struct engine *engine, uint32_t *hung_ms_out)
{
    const struct guard_status *guard = guard_link_status(engine->guard);
    uint64_t now_ms = clock_monotonic_ms();

    if (!guard->connected || (guard->killing && !guard->leftover && !guard->running)) {
        return INSTANCE_UNKNOWN;
    }
    if (!guard->running) {
        bool builds =
            engine->action.phase == ENGINE_WORK && (engine->action.request.kind == KEEPER_INIT ||
                                                    engine->action.request.kind == KEEPER_CLONE);
        if (builds) {
            return INSTANCE_BUILDING;
        }
        /* The end of a process is reported with what it left behind, unless the disk keeps us from
         * looking at it. */
        bool left_unseen =
            engine->left_starts != guard->starts && now_ms - engine->still_ms < LEFT_LOOK_MS;
        if (!engine->looked || left_unseen) {
            return INSTANCE_UNKNOWN;
        }
        return engine->folder ? INSTANCE_STOPPED : INSTANCE_EMPTY;
    }
    uint64_t since_ms = engine->alive_ms != 0 ? engine->alive_ms : engine->seen_starts_ms;
    uint64_t silent_ms = now_ms > since_ms ? now_ms - since_ms : 0;
    if (!look_is_of_now(engine)) {
        if (engine->look_starting || silent_ms < STARTING_FOR_MS) {
            return INSTANCE_STARTING;
        }
    } else if (silent_ms < ALIVE_FOR_MS + engine->probe_ms) {
        return engine->writable ? INSTANCE_PRIMARY : INSTANCE_STANDBY;
    }
    *hung_ms_out = silent_ms < UINT32_MAX ? (uint32_t)silent_ms : UINT32_MAX;
    return INSTANCE_HUNG;
}

static bool look_is_of_now(const struct engine *engine)
{
    return engine->look_starts != 0 && engine->look_starts == engine->seen_starts &&
           guard_link_status(engine->guard)->running;
}

/* The guardian saw the end of what it had started, and nobody else was at the folder. While a later
 * start of it runs, that was checked when it began. */
static void fill_start(const struct engine *engine, struct keeper_facts *facts)
{
    const struct guard_status *guard = guard_link_status(engine->guard);
    const struct guard_folder *left = &engine->left;
    const struct guard_folder *known = &guard->folder;

    if (!guard->connected) {
        return;
    }
    bool same = engine->left_starts == guard->starts && left->nonce == known->nonce &&
                left->device == known->device && left->inode == known->inode;
    facts->start_nonce = guard->office_nonce;
    facts->continuous =
        guard->office_nonce != 0 && !guard->writable && !guard->killing && (guard->running || same);
}

/* What this kind of database has no need of is as good as done. */
static void fill_lacking(const struct engine *engine, struct keeper_facts *facts)
{
    const struct driver_caps *caps = &engine->driver->kind->caps;

    if (facts->state != INSTANCE_PRIMARY || !engine->has_goal) {
        return;
    }
    if (!caps->slots) {
        facts->slots_epoch = engine->goal.epoch;
        facts->slots_index = engine->goal.index;
    }
    if (!caps->sync_quorum) {
        facts->canary_epoch = engine->goal.epoch;
    }
}
