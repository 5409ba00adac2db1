/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a PostgreSQL, out of the newest looks and what actions found. What was found
 * before a start says nothing after it. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    CAUGHT_UP_BYTES = 1 << 20,
    LOST_AGAIN_MS = 5000, /* each try to stream looks for a moment as if it did */
};

static void forget_found(struct pg_driver *driver);
static void write_note(struct pg_driver *driver);
static void follow_wal_lost(struct pg_driver *driver);
static void follow_slots(struct pg_driver *driver, const struct driver_seen *seen);
static void fill_standby(const struct pg_driver *driver,
                         const struct driver_now *now,
                         struct keeper_facts *facts);
static void fill_primary(const struct pg_driver *driver, struct keeper_facts *facts);
static void
fill_gate(const struct pg_driver *driver, const struct driver_now *now, struct keeper_facts *facts);
static void add_member(struct sync_member *members, uint32_t *count, struct sync_member member);
static void follow_acked(struct pg_driver *driver);
static uint64_t confirmed_lsn(const struct pg_driver *driver);

void pg_driver_facts(const struct driver *base,
                     const struct driver_now *now,
                     struct keeper_facts *facts)
{
    const struct pg_driver *driver = (const struct pg_driver *)(const void *)base;

    facts->system_identifier = driver->look.system_identifier;
    if (now->of_now) {
        if (now->state == INSTANCE_STANDBY) {
            fill_standby(driver, now, facts);
        } else if (now->state == INSTANCE_PRIMARY) {
            fill_primary(driver, facts);
        }
        if (now->state == INSTANCE_STANDBY || now->state == INSTANCE_PRIMARY) {
            pg_driver_marks_facts(driver, facts);
        }
    }
    /* What a crash recovery would have to replay, when one may be asked for. */
    if (now->state == INSTANCE_STOPPED && driver->look.flush_lsn > driver->look.redo_lsn) {
        facts->redo_bytes = driver->look.flush_lsn - driver->look.redo_lsn;
    }
    facts->settings_too_low = now->state == INSTANCE_STANDBY && driver->look.too_low[0] != '\0';
    if (facts->note == NULL || facts->note[0] == '\0') {
        facts->note = driver->note;
    }
    fill_gate(driver, now, facts);
    pg_driver_watch_facts(driver, facts);
    pg_driver_lineage_facts(driver, now, facts);
}

void pg_driver_looked(struct driver *base, const struct driver_seen *seen)
{
    struct pg_driver *driver = (struct pg_driver *)base;
    const struct pg_look *look = &driver->probe_job.look;

    driver->probe_begun_ms = seen->begun_ms;
    if (seen->current) {
        bool received = seen->was_of_now && driver->look.receiver_running;
        if (seen->first) {
            forget_found(driver);
        }
        if (look->answered == ERR_OK) {
            driver->look = *look;
            driver->received_before = received;
            follow_acked(driver);
            follow_wal_lost(driver);
            follow_slots(driver, seen);
            pg_driver_lineage_looked(driver);
            pg_driver_marks_follow(driver);
            write_note(driver);
        }
        pg_driver_watch_looked(driver);
    }
}

static void forget_found(struct pg_driver *driver)
{
    driver->met_stranger = false;
    driver->wal_lost_seen_ms = 0;
    driver->note[0] = '\0';
    driver->final_known = false;
    driver->sync_set_version = 0;
    driver->sync_confirmed_version = 0;
    driver->slots_epoch.value = 0;
    driver->slots_index = 0;
    driver->canary_epoch.value = 0;
    driver->acked_lsn = 0;
    driver->acked_sample_lsn = 0;
    driver->watch.loads = (struct pg_loads){0};
    pg_driver_marks_reset(driver);
}

static void write_note(struct pg_driver *driver)
{
    const struct pg_look *look = &driver->look;

    driver->note[0] = '\0';
    if (look->in_recovery && look->too_low[0] != '\0') {
        (void)snprintf(driver->note,
                       sizeof(driver->note),
                       "%s%.200s",
                       look->replay_paused ? "replay is paused: " : "",
                       look->too_low);
    } else if (look->in_recovery && look->replay_paused) {
        (void)snprintf(driver->note,
                       sizeof(driver->note),
                       "replay is paused by hand: SELECT pg_wal_replay_resume() ends it");
    }
}

static void fill_standby(const struct pg_driver *driver,
                         const struct driver_now *now,
                         struct keeper_facts *facts)
{
    const struct pg_look *look = &driver->look;
    uint64_t reached_lsn =
        look->receive_lsn > look->replay_lsn ? look->receive_lsn : look->replay_lsn;

    facts->position = (struct position){.timeline = look->timeline, .lsn = reached_lsn};
    facts->replay_lag_bytes = reached_lsn - look->replay_lsn;
    facts->redo_bytes = look->replay_lsn > look->redo_lsn ? look->replay_lsn - look->redo_lsn : 0;
    facts->conninfo_of = look->conninfo_of;
    memcpy(facts->conninfo_address, look->conninfo_address, ADDRESS_SIZE);
    facts->receiver_running = look->receiver_running || driver->received_before;
    facts->receiver_streaming = look->receiver_streaming;
    /* A look that is old, because nobody is let in any more, vouches for nobody's replication. */
    uint64_t silence_ms = look->receiver_silence_ms + (clock_monotonic_ms() - now->looked_ms);
    facts->receiver_silence_ms = silence_ms < UINT32_MAX ? (uint32_t)silence_ms : UINT32_MAX;
    facts->wal_lost = look->wal_lost;
    uint64_t lost_ms = look->wal_lost ? driver->wal_lost_seen_ms - driver->wal_lost_ms : 0;
    facts->wal_lost_ms = lost_ms < UINT32_MAX ? (uint32_t)lost_ms : UINT32_MAX;
    if (driver->final_known && look->conninfo_of.value == 0 && !facts->receiver_running) {
        facts->position = driver->final;
        facts->position_final = true;
    }
}

static void fill_primary(const struct pg_driver *driver, struct keeper_facts *facts)
{
    const struct pg_look *look = &driver->look;

    facts->position = (struct position){.timeline = look->timeline, .lsn = look->flush_lsn};
    facts->redo_bytes = look->flush_lsn > look->redo_lsn ? look->flush_lsn - look->redo_lsn : 0;
    facts->fork = look->fork;
    facts->sync_set_version = driver->sync_set_version;
    facts->sync_confirmed_version = driver->sync_confirmed_version;
    facts->slots_epoch = driver->slots_epoch;
    facts->slots_index = driver->slots_index;
    facts->canary_epoch = driver->canary_epoch;
    if (driver->acked_lsn != 0) {
        facts->acked = (struct position){.timeline = look->timeline, .lsn = driver->acked_lsn};
    }
    for (uint32_t i = 0; i < look->walsenders_count; i++) {
        const struct pg_walsender *sender = &look->walsenders[i];
        if (!sender->streaming) {
            continue;
        }
        add_member(facts->streaming, &facts->streaming_count, sender->member);
        if (sender->flush_lsn + CAUGHT_UP_BYTES >= look->flush_lsn) {
            add_member(facts->caught_up, &facts->caught_up_count, sender->member);
        }
    }
}

static void follow_wal_lost(struct pg_driver *driver)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (!driver->look.wal_lost) {
        return;
    }
    if (driver->wal_lost_seen_ms == 0 || now_ms - driver->wal_lost_seen_ms > LOST_AGAIN_MS) {
        driver->wal_lost_ms = now_ms;
    }
    driver->wal_lost_seen_ms = now_ms;
}

/* Somebody dropped one: whoever was to use it is refused until it is made again. */
static void follow_slots(struct pg_driver *driver, const struct driver_seen *seen)
{
    bool after = !driver->action.running && seen->begun_ms > driver->action.ended_ms;

    if (after && !driver->look.in_recovery && driver->has_goal &&
        driver->look.slots_count < driver->goal.siblings_count) {
        driver->slots_epoch.value = 0;
    }
}

static void
fill_gate(const struct pg_driver *driver, const struct driver_now *now, struct keeper_facts *facts)
{
    const char *seen = driver->look.gate;

    if (!now->of_now || (now->state != INSTANCE_STANDBY && now->state != INSTANCE_PRIMARY)) {
        return;
    }
    if (seen[0] != '\0') {
        (void)snprintf(facts->gate, sizeof(facts->gate), "%s", seen);
    } else {
        (void)snprintf(facts->gate,
                       sizeof(facts->gate),
                       "not loaded: %.200s",
                       driver->gate_why[0] != '\0' ? driver->gate_why
                                                   : "it was not when the database was started");
    }
}

static void add_member(struct sync_member *members, uint32_t *count, struct sync_member member)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (members[i].instance.value == member.instance.value &&
            members[i].incarnation.value == member.incarnation.value) {
            return;
        }
    }
    if (*count < SYNC_SET_MAX) {
        members[(*count)++] = member;
    }
}

/* Flush positions may lie in the middle of a record, which no standby could ever report as its end.
 * So the end of a record is remembered, and said to be acknowledged once the flushes reached it. */
static void follow_acked(struct pg_driver *driver)
{
    const struct pg_look *look = &driver->look;

    if (look->in_recovery) {
        driver->acked_lsn = 0;
        driver->acked_sample_lsn = 0;
        return;
    }
    if (driver->acked_sample_lsn == 0 || confirmed_lsn(driver) >= driver->acked_sample_lsn) {
        driver->acked_lsn = driver->acked_sample_lsn;
        driver->acked_sample_lsn = look->insert_lsn;
    }
}

/* The W-th highest flush among the recorded standbys; our own in async mode. */
static uint64_t confirmed_lsn(const struct pg_driver *driver)
{
    const struct pg_look *look = &driver->look;
    const struct sync_pair *pair = &driver->goal.sync;
    uint64_t bound_lsn = UINT64_MAX;

    if (!driver->has_goal || driver->goal.role != GOAL_PRIMARY) {
        return 0;
    }
    if (driver->goal.mode != SHARD_SYNC) {
        return look->flush_lsn;
    }
    if (pair->required == 0 || pair->members_count < pair->required) {
        return 0;
    }
    /* The highest position below the last one found, `required` times. */
    for (uint32_t rank = 0; rank < pair->required;) {
        uint64_t best_lsn = 0;
        uint32_t holders = 0;
        for (uint32_t i = 0; i < look->walsenders_count; i++) {
            const struct pg_walsender *sender = &look->walsenders[i];
            if (!sync_pair_contains(pair, sender->member) || sender->flush_lsn >= bound_lsn) {
                continue;
            }
            if (sender->flush_lsn > best_lsn) {
                best_lsn = sender->flush_lsn;
                holders = 0;
            }
            holders += sender->flush_lsn == best_lsn ? 1 : 0;
        }
        if (holders == 0) {
            return 0;
        }
        bound_lsn = best_lsn;
        rank += holders;
    }
    return bound_lsn;
}
