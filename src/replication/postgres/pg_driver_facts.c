/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the instance, out of the guardian's status, the newest looks and what actions
 * found. A look counts only for the database process it was made of: what was seen before a start
 * says nothing after it. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/check.h"
#include "base/clock.h"

#include <string.h>

enum {
    ALIVE_FOR_MS = 1500,     /* a sign of life this old is none */
    STARTING_FOR_MS = 10000, /* no sign at all for so long after a start: hung */
    LEFT_LOOK_MS = 500,
    CAUGHT_UP_BYTES = 1 << 20,
};

static enum instance_state state_now(const struct pg_driver *driver, uint32_t *hung_ms_out);
static bool look_is_of_now(const struct pg_driver *driver);
static void fill_start(const struct pg_driver *driver, struct keeper_facts *facts);
static void fill_standby(const struct pg_driver *driver, struct keeper_facts *facts);
static void fill_primary(const struct pg_driver *driver, struct keeper_facts *facts);
static void add_member(struct sync_member *members, uint32_t *count, struct sync_member member);
static void follow_acked(struct pg_driver *driver);
static uint64_t confirmed_lsn(const struct pg_driver *driver);

void pg_driver_facts(const struct driver *base, struct keeper_facts *facts_out)
{
    const struct pg_driver *driver = (const struct pg_driver *)(const void *)base;
    struct keeper_facts facts = {0};

    facts.state = state_now(driver, &facts.hung_ms);
    facts.running = driver->fencing                         ? KEEPER_FENCE
                    : driver->action.phase != PG_PHASE_IDLE ? driver->action.request.kind
                                                            : KEEPER_NONE;
    facts.primary_reach =
        pg_reach_get(driver->reach, &facts.primary_reach_of, &facts.primary_reach_ms);
    facts.system_identifier = driver->look.system_identifier;
    if (look_is_of_now(driver)) {
        if (facts.state == INSTANCE_STANDBY) {
            fill_standby(driver, &facts);
        } else if (facts.state == INSTANCE_PRIMARY) {
            fill_primary(driver, &facts);
        }
        if (facts.state == INSTANCE_STANDBY || facts.state == INSTANCE_PRIMARY) {
            pg_driver_marks_facts(driver, &facts);
        }
    }
    fill_start(driver, &facts);
    /* What a crash recovery would have to replay, when one may be asked for. */
    if (facts.state == INSTANCE_STOPPED && driver->look.flush_lsn > driver->look.redo_lsn) {
        facts.redo_bytes = driver->look.flush_lsn - driver->look.redo_lsn;
    }
    pg_driver_start_facts(driver, &facts);
    pg_driver_watch_facts(driver, &facts);
    *facts_out = facts;
}

void pg_driver_take_look(struct pg_driver *driver)
{
    const struct pg_probe_job *job = &driver->probe_job;
    bool received = look_is_of_now(driver) && driver->look.receiver_running;

    driver->looked = true;
    driver->folder = job->look.folder;
    driver->look_error = job->look.answered;
    driver->look_starting = job->look.starting;
    driver->look_begun_ms = job->begun_ms;
    if (!job->running) {
        driver->left = job->look.left;
        driver->left_starts = job->starts;
    }
    if (!job->running || job->starts != driver->seen_starts) {
        return;
    }
    if (driver->found_starts != job->starts) {
        driver->found_starts = job->starts;
        driver->final_known = false;
        driver->sync_set_version = 0;
        driver->sync_confirmed_version = 0;
        driver->slots_epoch.value = 0;
        driver->slots_index = 0;
        driver->canary_epoch.value = 0;
        driver->acked_lsn = 0;
        driver->acked_sample_lsn = 0;
        driver->watch.load_us = 0;
        pg_driver_marks_reset(driver);
    }
    /* Refused for want of rights or of connections: alive all the same. */
    if (job->look.answered == ERR_DENIED || job->look.answered == ERR_INVALID) {
        driver->alive_ms = clock_monotonic_ms();
    }
    if (job->look.answered == ERR_OK) {
        driver->look = job->look;
        driver->look_starts = job->starts;
        driver->look_ms = clock_monotonic_ms();
        driver->alive_ms = clock_monotonic_ms();
        driver->received_before = received;
        follow_acked(driver);
        pg_driver_marks_follow(driver);
    }
    pg_driver_watch_looked(driver);
}

static enum instance_state state_now(const struct pg_driver *driver, uint32_t *hung_ms_out)
{
    const struct guard_status *guard = guard_link_status(driver->guard);
    uint64_t now_ms = clock_monotonic_ms();

    if (!guard->connected || (guard->killing && !guard->leftover && !guard->running)) {
        return INSTANCE_UNKNOWN;
    }
    if (!guard->running) {
        bool builds =
            driver->action.phase == PG_PHASE_WORK && (driver->action.request.kind == KEEPER_INIT ||
                                                      driver->action.request.kind == KEEPER_CLONE);
        if (builds) {
            return INSTANCE_BUILDING;
        }
        /* The end of a process is reported with what it left behind, unless the disk keeps us from
         * looking at it. */
        bool left_unseen =
            driver->left_starts != guard->starts && now_ms - driver->still_ms < LEFT_LOOK_MS;
        if (!driver->looked || left_unseen) {
            return INSTANCE_UNKNOWN;
        }
        return driver->folder ? INSTANCE_STOPPED : INSTANCE_EMPTY;
    }
    uint64_t since_ms = driver->alive_ms != 0 ? driver->alive_ms : driver->seen_starts_ms;
    uint64_t silent_ms = now_ms > since_ms ? now_ms - since_ms : 0;
    if (!look_is_of_now(driver)) {
        if (driver->look_starting || silent_ms < STARTING_FOR_MS) {
            return INSTANCE_STARTING;
        }
    } else if (silent_ms < ALIVE_FOR_MS + driver->place.config.probe_ms) {
        return driver->look.in_recovery ? INSTANCE_STANDBY : INSTANCE_PRIMARY;
    }
    *hung_ms_out = silent_ms < UINT32_MAX ? (uint32_t)silent_ms : UINT32_MAX;
    return INSTANCE_HUNG;
}

static bool look_is_of_now(const struct pg_driver *driver)
{
    return driver->look_starts != 0 && driver->look_starts == driver->seen_starts &&
           guard_link_status(driver->guard)->running;
}

/* The guardian saw the end of what it had started, and nobody else was at the folder. While a later
 * start of it runs, that was checked when it began. */
static void fill_start(const struct pg_driver *driver, struct keeper_facts *facts)
{
    const struct guard_status *guard = guard_link_status(driver->guard);
    const struct guard_folder *left = &driver->left;
    const struct guard_folder *known = &guard->folder;

    if (!guard->connected) {
        return;
    }
    bool same = driver->left_starts == guard->starts && left->nonce == known->nonce &&
                left->device == known->device && left->inode == known->inode;
    facts->start_nonce = guard->office_nonce;
    facts->continuous =
        guard->office_nonce != 0 && !guard->writable && !guard->killing && (guard->running || same);
}

static void fill_standby(const struct pg_driver *driver, struct keeper_facts *facts)
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
    uint64_t silence_ms = look->receiver_silence_ms + (clock_monotonic_ms() - driver->look_ms);
    facts->receiver_silence_ms = silence_ms < UINT32_MAX ? (uint32_t)silence_ms : UINT32_MAX;
    facts->wal_lost = look->wal_lost;
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
