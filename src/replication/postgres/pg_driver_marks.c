/* SPDX-License-Identifier: Apache-2.0 */
/* What folders are known to hold: our own, and on a primary what its standbys have
 * confirmed. A flush position may lie in the middle of a record, which no database could ever
 * report as its end. So the end of a record is remembered for each folder, and said to be held once
 * that folder's flush has reached it. */
#include "replication/postgres/pg_driver_internal.h"

#include <string.h>

static struct pg_held *held_of(struct pg_driver *driver, struct sync_member folder);
static void follow(struct pg_held *held, uint64_t flush_lsn, uint64_t insert_lsn);

void pg_driver_marks_reset(struct pg_driver *driver)
{
    memset(driver->held, 0, sizeof(driver->held));
    driver->held_count = 0;
}

void pg_driver_marks_follow(struct pg_driver *driver)
{
    const struct pg_look *look = &driver->look;

    if (look->in_recovery) {
        pg_driver_marks_reset(driver);
        return;
    }
    for (uint32_t i = 0; i < look->walsenders_count; i++) {
        const struct pg_walsender *sender = &look->walsenders[i];
        struct pg_held *held = sender->streaming ? held_of(driver, sender->member) : NULL;
        if (held != NULL) {
            follow(held, sender->flush_lsn, look->insert_lsn);
        }
    }
}

void pg_driver_marks_facts(const struct pg_driver *driver, struct keeper_facts *facts)
{
    uint32_t timeline = driver->look.timeline;

    if (driver->look.held_lsn != 0) {
        facts->held = (struct position){.timeline = timeline, .lsn = driver->look.held_lsn};
        facts->held_fingerprint = driver->look.fingerprint;
    }
    for (uint32_t i = 0; i < driver->held_count; i++) {
        const struct pg_held *held = &driver->held[i];
        if (held->reached_lsn != 0) {
            marks_raise(&facts->confirmed,
                        held->folder,
                        (struct position){.timeline = timeline, .lsn = held->reached_lsn});
        }
    }
}

static struct pg_held *held_of(struct pg_driver *driver, struct sync_member folder)
{
    for (uint32_t i = 0; i < driver->held_count; i++) {
        struct pg_held *held = &driver->held[i];
        if (held->folder.instance.value != folder.instance.value) {
            continue;
        }
        if (held->folder.incarnation.value != folder.incarnation.value) {
            *held = (struct pg_held){.folder = folder};
        }
        return held;
    }
    if (driver->held_count == MARKS_MAX) {
        return NULL;
    }
    driver->held[driver->held_count] = (struct pg_held){.folder = folder};
    return &driver->held[driver->held_count++];
}

static void follow(struct pg_held *held, uint64_t flush_lsn, uint64_t insert_lsn)
{
    if (held->sample_lsn == 0 || flush_lsn >= held->sample_lsn) {
        held->reached_lsn = held->sample_lsn;
        held->sample_lsn = insert_lsn;
    }
}
