/* SPDX-License-Identifier: Apache-2.0 */
/* wal_receiver_timeout and wal_sender_timeout: a machine that dies closes nothing, so each end of a
 * replication connection gives it up when the other has been silent for too long. Keep-alives are
 * not sent as messages here; an end that lives and can be reached counts as heard. */
#include "tests/sim/sim_world.h"

enum {
    TIMEOUT_US = 5000 * SIM_MS,
};

static bool
can_hear(const struct sim *sim, const struct sim_instance *a, const struct sim_instance *b);
static void check_receiver(struct sim *sim, struct sim_instance *instance);
static void check_sender(struct sim *sim, struct sim_instance *instance, uint32_t number);

void sim_db_timeouts(struct sim *sim, struct sim_instance *instance)
{
    if (!instance->up || instance->paused || instance->db.hung) {
        return;
    }
    check_receiver(sim, instance);
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        check_sender(sim, instance, i);
    }
}

static void check_receiver(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    if (!db->receiver || db->upstream == 0) {
        return;
    }
    const struct sim_instance *upstream = &sim->instances[db->upstream];
    const struct walsender *sender = &upstream->db.senders[instance->number];
    bool there = sender->connected && sender->stream == db->receiver_stream;
    if (there && can_hear(sim, upstream, instance)) {
        db->receiver_alive_us = sim->now_us;
    } else if (sim->now_us - db->receiver_alive_us > TIMEOUT_US) {
        sim_db_drop_receiver(sim, instance);
        sim_car_soon(sim, instance);
    }
}

static void check_sender(struct sim *sim, struct sim_instance *instance, uint32_t number)
{
    struct walsender *sender = &instance->db.senders[number];

    if (!sender->connected) {
        return;
    }
    const struct sim_instance *standby = &sim->instances[number];
    bool there = standby->db.receiver && standby->db.receiver_stream == sender->stream;
    if (there && can_hear(sim, standby, instance)) {
        sender->alive_us = sim->now_us;
    } else if (sim->now_us - sender->alive_us > TIMEOUT_US) {
        sim_stream_close(sim, sender->stream, false, true);
        *sender = (struct walsender){0};
        sim_car_soon(sim, instance);
    }
}

static bool
can_hear(const struct sim *sim, const struct sim_instance *a, const struct sim_instance *b)
{
    return a->up && !a->paused && !a->db.hung && !sim->net.links[a->node][b->node].cut;
}
