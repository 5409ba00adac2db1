/* SPDX-License-Identifier: Apache-2.0 */
/* The fake database's WAL: append, flush, stream to standbys, and who releases a waiting commit. A
 * walsender judges by the setting that it has read itself, which may be an older one (E16). */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    FLUSH_SHIFT = 32,
};

static void flush_soon(struct sim *sim, struct sim_instance *instance);
static void acknowledge(struct sim *sim, struct sim_instance *instance, uint64_t up_to);
static const struct sync_pair *setting_seen(const struct sim_db *db, uint64_t version);
static bool is_in_set(const struct sim *sim, const struct sim_db *db, uint32_t number);
static void receive_wal(struct sim *sim,
                        struct sim_instance *instance,
                        uint32_t stream,
                        const struct sim_body *body);

struct position sim_db_position(const struct sim_db *db, uint64_t count)
{
    if (count == 0) {
        return (struct position){0};
    }
    CHECK(count <= db->wal_count);
    return (struct position){.timeline = db->wal[count - 1].timeline,
                             .lsn = count * SIM_LSN_PER_ENTRY};
}

void sim_db_append(struct sim *sim, struct sim_instance *instance, struct wal_entry entry)
{
    struct sim_db *db = &instance->db;

    if (db->wal_count == db->wal_cap) {
        db->wal_cap = db->wal_cap == 0 ? 256 : db->wal_cap * 2;
        db->wal = mem_resize(db->wal, db->wal_cap * sizeof(db->wal[0]));
    }
    db->wal[db->wal_count++] = entry;
    if (db->process != DB_DOWN) {
        flush_soon(sim, instance);
    }
}

void sim_db_flushed(struct sim *sim, struct sim_instance *instance, uint64_t number)
{
    struct sim_db *db = &instance->db;

    if (number >> FLUSH_SHIFT != db->generation || db->process == DB_DOWN) {
        return;
    }
    uint64_t count = number & ((UINT64_C(1) << FLUSH_SHIFT) - 1);
    db->flushing = false;
    if (count <= db->wal_count && count > db->flushed) {
        db->flushed = count;
    }
    if (db->flushed < db->wal_count) {
        flush_soon(sim, instance);
    }
    if (db->process == DB_STANDBY) {
        if (db->receiver) {
            sim_stream_send(sim,
                            db->receiver_stream,
                            true,
                            (struct sim_body){.kind = BODY_WAL_ACK, .number = db->flushed});
        }
        return;
    }
    sim_db_stream(sim, instance);
    bool alone = sim->shards[instance->shard].mode == SHARD_ASYNC ||
                 (sim->mutant == MUTANT_NO_PLACEHOLDER && db->set_version == 0) || db->emptied;
    if (alone) {
        acknowledge(sim, instance, db->flushed);
    }
}

void sim_db_stream(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        struct walsender *sender = &db->senders[i];
        if (sender->copy) {
            sender->flushed = db->flushed;
            sim_db_release(sim, instance, i);
        }
        if (!sender->connected || sender->copy || sender->sent >= db->flushed) {
            continue;
        }
        uint32_t count = (uint32_t)(db->flushed - sender->sent);
        struct sim_body body = {.kind = BODY_WAL};
        body.wal.from = sender->sent;
        body.wal.count = count;
        body.wal.entries = mem_dup(&db->wal[sender->sent], count * sizeof(db->wal[0]));
        sender->sent = db->flushed;
        sim_stream_send(sim, sender->stream, false, body);
    }
}

void sim_db_message(struct sim *sim,
                    struct sim_instance *instance,
                    uint32_t stream,
                    const struct sim_body *body)
{
    struct sim_db *db = &instance->db;

    if (body->kind == BODY_WAL) {
        receive_wal(sim, instance, stream, body);
        return;
    }
    CHECK(body->kind == BODY_WAL_ACK);
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        struct walsender *sender = &db->senders[i];
        if (sender->connected && sender->stream == stream) {
            sender->flushed = body->number > sender->flushed ? body->number : sender->flushed;
            sim_db_release(sim, instance, i);
        }
    }
}

void sim_db_closed(struct sim *sim, struct sim_instance *instance, uint32_t stream)
{
    struct sim_db *db = &instance->db;

    if (db->receiver && db->receiver_stream == stream) {
        db->receiver = false;
        db->receiver_stream = 0;
        sim_car_soon(sim, instance);
    }
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        if (db->senders[i].connected && db->senders[i].stream == stream) {
            db->senders[i] = (struct walsender){0};
        }
    }
}

void sim_db_set_sync(struct sim *sim,
                     struct sim_instance *instance,
                     const struct sync_pair *pair,
                     uint64_t version)
{
    struct sim_db *db = &instance->db;

    if (db->emptied) {
        sim_superuser_found(sim, instance); /* as pg_driver_watch_before */
    }
    sim_db_change_setting(sim, instance, pair);
    db->emptied = false;
    instance->car.put_back = false;
    db->set_version = version;
    db->confirmed_version = 0;
    sim_db_append(sim, instance, (struct wal_entry){.timeline = db->fork.timeline});
    db->marker = db->wal_count;
    db->marker_is_last = false;
}

void sim_db_change_setting(struct sim *sim,
                           struct sim_instance *instance,
                           const struct sync_pair *pair)
{
    struct sim_db *db = &instance->db;

    db->settings[1] = db->settings[0];
    db->settings_version[1] = db->settings_version[0];
    db->settings[0] = *pair;
    db->settings_version[0]++;
    /* A walsender may be busy for long: all the worse if nobody waits for it. */
    uint64_t reload_us_max = (sim->mutant == MUTANT_SYNC_UNCONFIRMED ? 60000 : 300) * SIM_MS;
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        if (db->senders[i].connected) {
            sim_after(sim,
                      sim_draw(sim, 1 * SIM_MS, reload_us_max),
                      (struct sim_item){.kind = EV_DB_RELOAD,
                                        .node = instance->node,
                                        .number = db->generation << 8 | i});
        }
    }
}

void sim_db_reload(struct sim *sim, struct sim_instance *instance, uint64_t number)
{
    struct sim_db *db = &instance->db;
    uint32_t i = (uint32_t)(number & 0xFF);

    if (number >> 8 != db->generation || db->process != DB_PRIMARY || !db->senders[i].connected) {
        return;
    }
    db->senders[i].seen_version = db->settings_version[0];
    sim_db_release(sim, instance, i);
}

/* The walsender `acting` got a reply, or read the setting: it releases what by its own knowledge
 * may be released. */
void sim_db_release(struct sim *sim, struct sim_instance *instance, uint32_t acting)
{
    struct sim_db *db = &instance->db;
    uint64_t flushed[SIM_INSTANCES_MAX];
    uint32_t count = 0;

    if (db->process != DB_PRIMARY || sim->shards[instance->shard].mode != SHARD_SYNC ||
        !is_in_set(sim, db, acting)) {
        return;
    }
    const struct sync_pair *pair = setting_seen(db, db->senders[acting].seen_version);
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        if (!db->senders[i].connected || !is_in_set(sim, db, i)) {
            continue;
        }
        uint32_t at = count++;
        while (at > 0 && flushed[at - 1] < db->senders[i].flushed) {
            flushed[at] = flushed[at - 1];
            at--;
        }
        flushed[at] = db->senders[i].flushed;
    }
    if (count >= pair->required && pair->required > 0) {
        acknowledge(sim, instance, flushed[pair->required - 1]);
    }
}

/* As pg_sync_confirm: what a walsender releases by the old setting before it takes the new one may
 * lie behind the first marker; the second is written when all have taken it. */
bool sim_db_sync_confirmed(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;
    uint32_t holders = 0;

    if (sim->mutant == MUTANT_SYNC_UNCONFIRMED) {
        return true;
    }
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        const struct walsender *sender = &db->senders[i];
        if (!sender->connected) {
            continue;
        }
        if (sender->seen_version != db->settings_version[0]) {
            return false;
        }
    }
    if (!db->marker_is_last) {
        sim_db_append(sim, instance, (struct wal_entry){.timeline = db->fork.timeline});
        db->marker = db->wal_count;
        db->marker_is_last = true;
        return false;
    }
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        const struct walsender *sender = &db->senders[i];
        if (!sender->connected) {
            continue;
        }
        if (is_in_set(sim, db, i)) {
            if (sender->flushed < db->marker) {
                return false;
            }
            holders++;
        }
    }
    return holders >= db->settings[0].required;
}

static void flush_soon(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    if (db->flushing_generation == db->generation && db->flushing) {
        return;
    }
    db->flushing = true;
    db->flushing_generation = db->generation;
    sim_after(sim,
              sim_draw(sim, 200, 2000),
              (struct sim_item){.kind = EV_DB_FLUSHED,
                                .node = instance->node,
                                .number = db->generation << FLUSH_SHIFT | db->wal_count});
}

static void acknowledge(struct sim *sim, struct sim_instance *instance, uint64_t up_to)
{
    struct sim_db *db = &instance->db;

    up_to = up_to < db->flushed ? up_to : db->flushed;
    while (db->acked < up_to) {
        uint64_t write = db->wal[db->acked++].write;
        if (write == 0) {
            continue;
        }
        struct sim_write *one = &sim->writes[write];
        if (one->instance == instance->number && one->epoch == db->epoch.value &&
            one->acked_us == 0) {
            one->acked_us = sim->now_us;
            one->lapsed = db->emptied;
            db->lapsed = db->lapsed || db->emptied;
            db->lapsed_epoch = db->emptied ? db->epoch.value : db->lapsed_epoch;
            sim_check_ack(sim, instance, one, write);
        }
    }
}

void sim_db_release_alone(struct sim *sim, struct sim_instance *instance)
{
    acknowledge(sim, instance, instance->db.flushed);
}

static const struct sync_pair *setting_seen(const struct sim_db *db, uint64_t version)
{
    return version == db->settings_version[0] ? &db->settings[0] : &db->settings[1];
}

static bool is_in_set(const struct sim *sim, const struct sim_db *db, uint32_t number)
{
    const struct walsender *sender = &db->senders[number];
    struct sync_member member = {.instance = sim->instances[number].id,
                                 .incarnation = sender->incarnation};

    return sync_pair_contains(setting_seen(db, sender->seen_version), member);
}

static void receive_wal(struct sim *sim,
                        struct sim_instance *instance,
                        uint32_t stream,
                        const struct sim_body *body)
{
    struct sim_db *db = &instance->db;

    if (db->process != DB_STANDBY || !db->receiver || db->receiver_stream != stream) {
        return;
    }
    db->receiver_heard_us = sim->now_us;
    if (body->wal.from != db->wal_count) {
        sim_fail(sim,
                 "i%u: WAL arrives from %lu, it holds %lu",
                 instance->number,
                 (unsigned long)body->wal.from,
                 (unsigned long)db->wal_count);
        return;
    }
    for (uint32_t i = 0; i < body->wal.count; i++) {
        sim_db_append(sim, instance, body->wal.entries[i]);
    }
}
