/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that fail: each is followed by a longer pause, and what the server said last is told. A
 * start has failed when its process ended before it answered once, and nobody had ended it. */
#include "base/clock.h"
#include "replication/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PAUSE_MIN_MS = 250,
    PAUSE_DOUBLINGS_MAX = 6, /* 16 s */
    CANNOT_START = 2,        /* so many failures in a row are no accident */
};

static bool ended_by_us(const struct engine *engine);
static void write_note(struct engine *engine);

void engine_note_start(struct engine *engine)
{
    const struct guard_status *guard = guard_link_status(engine->guard);
    bool answered = engine->look_starts == engine->seen_starts;

    if (guard->connected && guard->running && answered) {
        engine->start_failures = 0;
        engine->start_again_ms = 0;
        engine->words[0] = '\0';
    }
    if (guard->connected && !guard->running && !answered && engine->seen_starts != 0 &&
        engine->start_failed_of != engine->seen_starts && !ended_by_us(engine)) {
        uint32_t doublings = engine->start_failures < PAUSE_DOUBLINGS_MAX ? engine->start_failures
                                                                          : PAUSE_DOUBLINGS_MAX;
        engine->start_failed_of = engine->seen_starts;
        engine->start_failures++;
        engine->start_again_ms = clock_monotonic_ms() + ((uint64_t)PAUSE_MIN_MS << doublings);
        engine->words_wanted = true;
    }
    write_note(engine);
}

bool engine_start_waits(const struct engine *engine)
{
    return clock_monotonic_ms() < engine->start_again_ms;
}

void engine_start_at_once(struct engine *engine)
{
    engine->start_again_ms = 0;
}

void engine_start_facts(const struct engine *engine, struct keeper_facts *facts)
{
    facts->cannot_start = engine->start_failures >= CANNOT_START;
    facts->note = engine->note;
}

static bool ended_by_us(const struct engine *engine)
{
    bool acts = engine->action.phase != ENGINE_IDLE;
    enum keeper_action_kind kind = engine->action.request.kind;

    return engine->fencing || guard_link_status(engine->guard)->killing ||
           (acts && (kind == KEEPER_STOP || kind == KEEPER_REBUILD || kind == KEEPER_CUT));
}

static void write_note(struct engine *engine)
{
    engine->note[0] = '\0';
    if (engine->start_failures > 0) {
        (void)snprintf(engine->note,
                       sizeof(engine->note),
                       "the database did not start, %" PRIu32 " times: %.190s",
                       engine->start_failures,
                       engine->words[0] != '\0' ? engine->words : "it said nothing");
    }
}
