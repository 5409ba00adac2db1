/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that fail: each is followed by a longer pause, and what the server said last is told. A
 * start has failed when its process ended before it answered once, and nobody had ended it. */
#include "base/clock.h"
#include "replication/postgres/pg_driver_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PAUSE_MIN_MS = 250,
    PAUSE_DOUBLINGS_MAX = 6, /* 16 s */
    CANNOT_START = 2,        /* so many failures in a row are no accident */
};

static bool ended_by_us(const struct pg_driver *driver);
static void write_note(struct pg_driver *driver);

void pg_driver_note_start(struct pg_driver *driver)
{
    const struct guard_status *guard = guard_link_status(driver->guard);
    bool answered = driver->look_starts == driver->seen_starts;

    if (guard->connected && guard->running && answered) {
        driver->start_failures = 0;
        driver->start_again_ms = 0;
        driver->words[0] = '\0';
    }
    if (guard->connected && !guard->running && !answered && driver->seen_starts != 0 &&
        driver->start_failed_of != driver->seen_starts && !ended_by_us(driver)) {
        uint32_t doublings = driver->start_failures < PAUSE_DOUBLINGS_MAX ? driver->start_failures
                                                                          : PAUSE_DOUBLINGS_MAX;
        driver->start_failed_of = driver->seen_starts;
        driver->start_failures++;
        driver->start_again_ms = clock_monotonic_ms() + ((uint64_t)PAUSE_MIN_MS << doublings);
        driver->words_wanted = true;
    }
    write_note(driver);
}

bool pg_driver_start_waits(const struct pg_driver *driver)
{
    return clock_monotonic_ms() < driver->start_again_ms;
}

void pg_driver_start_at_once(struct pg_driver *driver)
{
    driver->start_again_ms = 0;
}

void pg_driver_start_facts(const struct pg_driver *driver, struct keeper_facts *facts)
{
    facts->cannot_start = driver->start_failures >= CANNOT_START;
    facts->settings_too_low = facts->state == INSTANCE_STANDBY && driver->look.too_low[0] != '\0';
    facts->note = driver->note;
}

static bool ended_by_us(const struct pg_driver *driver)
{
    bool acts = driver->action.phase != PG_PHASE_IDLE;
    enum keeper_action_kind kind = driver->action.request.kind;

    return driver->fencing || guard_link_status(driver->guard)->killing ||
           (acts && (kind == KEEPER_STOP || kind == KEEPER_REBUILD || kind == KEEPER_CUT));
}

static void write_note(struct pg_driver *driver)
{
    bool standby = driver->look_starts == driver->seen_starts && driver->look.in_recovery;

    driver->note[0] = '\0';
    if (driver->start_failures > 0) {
        (void)snprintf(driver->note,
                       sizeof(driver->note),
                       "the database did not start, %" PRIu32 " times: %.190s",
                       driver->start_failures,
                       driver->words[0] != '\0' ? driver->words : "it said nothing");
    } else if (standby && driver->look.too_low[0] != '\0') {
        (void)snprintf(
            driver->note, sizeof(driver->note), "replay is paused: %.200s", driver->look.too_low);
    } else if (standby && driver->look.replay_paused) {
        (void)snprintf(driver->note,
                       sizeof(driver->note),
                       "replay is paused by hand: SELECT pg_wal_replay_resume() ends it");
    }
}
