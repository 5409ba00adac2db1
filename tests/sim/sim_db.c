/* SPDX-License-Identifier: Apache-2.0 */
/* The fake database: start as standby, crash, promote with a fork, replication set-up, clients. Its
 * WAL and who acknowledges what is sim_db_wal.c. It misbehaves the way PostgreSQL does in
 * docs/experiments.md: E1, E2, E3, E4, E16 are here. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum {
    CONNECT_US = 100 * SIM_MS,
    FORGOTTEN_ENTRIES_MAX = 20, /* what a restarted standby does not know of at first (E3) */
    WAITING_MAX = 20,           /* clients that wait for an acknowledgement at the same time */
};

static void
start_receiver(struct sim *sim, struct sim_instance *instance, struct sim_instance *upstream);
static bool
can_stream(const struct sim *sim, const struct sim_instance *a, const struct sim_instance *b);

void sim_db_start(struct sim *sim,
                  struct sim_instance *instance,
                  uint32_t upstream,
                  const char *address)
{
    struct sim_db *db = &instance->db;

    if (!db->folder || db->process != DB_DOWN || db->leftovers || instance->guardian.killing) {
        return;
    }
    db->process = DB_STARTING;
    sim_older_started(sim, instance);
    db->generation++;
    db->position_known = false;
    db->position_final = false;
    uint64_t forgotten = prng_below(&sim->timing, FORGOTTEN_ENTRIES_MAX);
    db->visible = db->flushed > forgotten ? db->flushed - forgotten : 1;
    db->epoch.value = 0;
    db->set_version = 0;
    db->upstream = upstream;
    memcpy(db->upstream_address, address, strlen(address) + 1);
    sim_after(
        sim,
        sim_draw(sim, 30 * SIM_MS, 600 * SIM_MS),
        (struct sim_item){.kind = EV_DB_STARTED, .node = instance->node, .number = db->generation});
}

void sim_db_started(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    struct sim_db *db = &instance->db;

    if (generation != db->generation || db->process != DB_STARTING) {
        return;
    }
    db->process = DB_STANDBY;
    instance->ran = instance->car.turn.state.incarnation;
    sim_db_connect(sim, instance, generation);
    sim_car_soon(sim, instance);
}

void sim_db_die(struct sim *sim, struct sim_instance *instance, bool tell)
{
    struct sim_db *db = &instance->db;

    db->process = DB_DOWN;
    db->leftovers = false;
    db->hung = false;
    db->generation++;
    db->wal_count = db->flushed;
    db->upstream = 0;
    db->receiver = false;
    sim_stream_close(sim, db->receiver_stream, true, tell);
    db->receiver_stream = 0;
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        if (db->senders[i].connected) {
            sim_stream_close(sim, db->senders[i].stream, false, tell);
        }
        db->senders[i] = (struct walsender){0};
    }
    instance->guardian.writable = false;
    db->epoch.value = 0;
    db->emptied = false; /* every start is with settings of ours */
}

void sim_db_promote(struct sim *sim,
                    struct sim_instance *instance,
                    struct epoch epoch,
                    uint32_t timeline)
{
    struct sim_db *db = &instance->db;

    if (db->process != DB_STANDBY || instance->guardian.killing) {
        return;
    }
    CHECK(db->wal_count > 0);
    sim_db_drop_receiver(sim, instance);
    db->wal_count = db->flushed;
    instance->guardian.writable = true;
    db->epoch = epoch;
    db->upstream = 0;
    db->fork = (struct fork){
        .timeline = timeline,
        .parent_timeline = db->wal[db->wal_count - 1].timeline,
        .fork_lsn = db->wal_count * SIM_LSN_PER_ENTRY,
    };
    db->fork_read = false;
    db->process = DB_PRIMARY;
    /* In force since the start of the postmaster: a set that nobody is in (safety.md 3). */
    memset(db->settings, 0, sizeof(db->settings));
    db->settings[0].required = 1;
    db->settings[1].required = 1;
    db->emptied = false;
    db->settings_version[0] = 1;
    db->settings_version[1] = 1;
    db->set_version = 0;
    db->confirmed_version = 0;
    db->marker_is_last = false;
    db->canary_epoch.value = 0;
    db->acked = db->wal_count;
    sim_trace(sim,
              "i%u: promoted, epoch %" PRIu64 ", timeline %u, fork at %" PRIu64,
              instance->number,
              epoch.value,
              timeline,
              db->wal_count);
    sim_check_promotion(sim, instance);
    sim_db_append(
        sim, instance, (struct wal_entry){.timeline = timeline, .serial = ++sim->serial_last});
    sim_after(sim,
              sim_draw(sim, 5 * SIM_MS, 100 * SIM_MS),
              (struct sim_item){
                  .kind = EV_DB_FORK_READ, .node = instance->node, .number = db->generation});
    /* The deadline may have passed while the request was under way. */
    sim_guard_timer(sim, instance);
}

void sim_db_fork_read(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    if (generation == instance->db.generation && instance->db.process == DB_PRIMARY) {
        instance->db.fork_read = true;
        sim_car_soon(sim, instance);
    }
}

void sim_db_set_upstream(struct sim *sim,
                         struct sim_instance *instance,
                         uint32_t upstream,
                         const char *address)
{
    struct sim_db *db = &instance->db;

    if (db->process != DB_STANDBY) {
        return;
    }
    db->upstream = upstream;
    memcpy(db->upstream_address, address, strlen(address) + 1);
    if (upstream == 0 && sim->mutant == MUTANT_RECEIVER_LIVES) {
        db->position_final = true; /* and the receiver streams on (E2) */
        return;
    }
    sim_db_drop_receiver(sim, instance);
    db->position_final = false;
    if (upstream != 0) {
        sim_db_connect(sim, instance, db->generation);
    }
}

void sim_db_drop_receiver(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    if (db->receiver) {
        sim_stream_close(sim, db->receiver_stream, true, true);
    }
    db->receiver = false;
    db->receiver_stream = 0;
}

/* One try; comes back while there is an upstream and no receiver. */
void sim_db_connect(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    struct sim_db *db = &instance->db;

    if (generation != db->generation || db->process != DB_STANDBY || db->upstream == 0) {
        return;
    }
    if (!db->receiver && !db->hung) {
        struct sim_instance *upstream = &sim->instances[db->upstream];
        const struct sim_db *other = &upstream->db;
        bool serves = other->process == DB_PRIMARY && !other->leftovers && !other->hung &&
                      !upstream->paused && upstream->up;
        if (serves && can_stream(sim, instance, upstream)) {
            /* The end of its own WAL is known as soon as a receiver is started. */
            db->position_known = true;
            bool shares =
                db->by_hand || (db->flushed == db->wal_count && db->wal_count <= other->flushed &&
                                memcmp(&db->wal[db->wal_count - 1],
                                       &other->wal[db->wal_count - 1],
                                       sizeof(db->wal[0])) == 0);
            if (shares) {
                start_receiver(sim, instance, upstream);
            }
        }
    }
    if (!db->connecting) {
        db->connecting = true;
        sim_after(
            sim,
            CONNECT_US,
            (struct sim_item){.kind = EV_DB_CONNECT, .node = instance->node, .number = generation});
    }
}

void sim_db_connect_again(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    instance->db.connecting = false;
    sim_db_connect(sim, instance, instance->db.generation);
    (void)generation;
}

/* A base backup begins, and with it its stream of WAL: at worst under the standby's own name, so
 * that only its sidecar's word tells it from a standby. */
void sim_db_copy(struct sim *sim, struct sim_instance *instance, uint32_t upstream)
{
    struct sim_instance *source = &sim->instances[upstream];

    if (upstream == 0 || source->db.process != DB_PRIMARY || !can_stream(sim, instance, source)) {
        return;
    }
    source->db.senders[instance->number] = (struct walsender){
        .connected = true,
        .copy = true,
        .incarnation = instance->car.turn.state.incarnation,
        .sent = source->db.flushed,
        .flushed = source->db.flushed,
        .seen_version = source->db.settings_version[0],
        .alive_us = sim->now_us,
    };
    sim_car_soon(sim, source);
}

void sim_db_clone(struct sim *sim, struct sim_instance *instance, uint32_t upstream)
{
    struct sim_db *db = &instance->db;

    if (upstream == 0 || db->folder) {
        return;
    }
    struct sim_instance *source = &sim->instances[upstream];
    if (source->db.senders[instance->number].copy) {
        source->db.senders[instance->number] = (struct walsender){0};
    }
    if (source->db.process != DB_PRIMARY || !source->up || source->paused || source->db.hung ||
        !can_stream(sim, instance, source)) {
        return;
    }
    db->wal_count = 0;
    for (uint64_t i = 0; i < source->db.flushed; i++) {
        sim_db_append(sim, instance, source->db.wal[i]);
    }
    db->flushed = db->wal_count;
    db->folder = true;
    db->folder_id++;
    db->by_hand = false;
    db->nonce = instance->car.start_nonce;
}

bool sim_db_can_write(struct sim *sim, const struct sim_instance *instance)
{
    (void)sim;
    const struct sim_db *db = &instance->db;

    return instance->up && !instance->paused && !db->hung && db->process == DB_PRIMARY;
}

/* A client beside each instance writes whenever it can: a second primary would show. */
void sim_db_client(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;
    struct sim_shard *shard = &sim->shards[instance->shard];

    sim_after(sim,
              prng_between(&sim->work, 10 * SIM_MS, 60 * SIM_MS),
              (struct sim_item){.kind = EV_CLIENT, .node = instance->node});
    sim_db_timeouts(sim, instance);
    if (!sim_db_can_write(sim, instance) || db->wal_count - db->acked >= WAITING_MAX) {
        return;
    }
    uint64_t now_us = sim_clock_read(sim, instance->node);
    if (shard->mode == SHARD_ASYNC && now_us >= instance->guardian.deadline_us &&
        sim->mutant != MUTANT_DEADLINE_IGNORED) {
        return; /* the commit gate */
    }
    if (sim->writes_count + 1 >= sim->writes_cap) {
        sim->writes_cap = sim->writes_cap == 0 ? 1024 : sim->writes_cap * 2;
        sim->writes = mem_resize(sim->writes, sim->writes_cap * sizeof(sim->writes[0]));
    }
    sim->writes[++sim->writes_count] = (struct sim_write){
        .shard = instance->shard,
        .instance = instance->number,
        .epoch = db->epoch.value,
        .checked_us = sim->now_us,
        .place = db->wal_count + 1,
    };
    sim_db_append(sim,
                  instance,
                  (struct wal_entry){.write = sim->writes_count, .timeline = db->fork.timeline});
}

static void
start_receiver(struct sim *sim, struct sim_instance *instance, struct sim_instance *upstream)
{
    struct sim_db *db = &instance->db;
    struct walsender *sender = &upstream->db.senders[instance->number];

    if (sender->connected) {
        sim_stream_close(sim, sender->stream, false, true);
    }
    db->receiver = true;
    db->receiver_heard_us = sim->now_us;
    db->receiver_alive_us = sim->now_us;
    db->receiver_stream = sim_stream_open(sim, STREAM_WAL, instance->node, upstream->node);
    *sender = (struct walsender){
        .connected = true,
        .stream = db->receiver_stream,
        .incarnation = instance->car.turn.state.incarnation,
        .sent = db->wal_count,
        .seen_version = upstream->db.settings_version[0],
        .alive_us = sim->now_us,
    };
    sim_stream_send(sim,
                    db->receiver_stream,
                    true,
                    (struct sim_body){.kind = BODY_WAL_ACK, .number = db->flushed});
    sim_db_stream(sim, upstream);
}

static bool
can_stream(const struct sim *sim, const struct sim_instance *a, const struct sim_instance *b)
{
    return !sim->net.links[a->node][b->node].cut && !sim->net.links[b->node][a->node].cut;
}
