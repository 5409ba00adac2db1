/* SPDX-License-Identifier: Apache-2.0 */
/* A sidecar: the real keeper and lease holder, in a small agent of our own: finds the leader, says
 * hello, reports, renews, does one keeper action at a time. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/prng.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TICK_US = 50 * SIM_MS,
    REPORT_US = 200 * SIM_MS,
    WELCOME_US = 700 * SIM_MS,
    SILENCE_US = 2000 * SIM_MS,
    STEPS_MAX = 16,
    MARKS_SAVED_US = 1000 * SIM_MS,
    NS_PER_US = 1000,
};

static void keep_session(struct sim *sim, struct sim_instance *instance);
static void say_hello(struct sim *sim, struct sim_instance *instance);
static void keep_lease(struct sim *sim, struct sim_instance *instance);
static void probe_primary(struct sim *sim, struct sim_instance *instance);
static void keep_marks(struct sim *sim, struct sim_instance *instance);
static void report(struct sim *sim, struct sim_instance *instance);
static bool differs(const struct report *a, const struct report *b);
static uint64_t local_us(const struct sim *sim, const struct sim_instance *instance);

void sim_car_start(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;

    if (car->up || !instance->up) {
        return;
    }
    struct keeper_state state = car->turn.state;
    bool disk_hung = car->disk_hung;
    struct cluster_id cluster = car->cluster;
    struct marks marks = car->marks_saved;
    uint64_t start_nonce = car->start_nonce;
    uint64_t office_nonce = car->last_office_nonce;
    uint64_t generation = car->generation + 1;
    uint64_t serial = car->action_serial + 1;
    memset(car, 0, sizeof(*car));
    car->up = true;
    car->turn.state = state;
    car->disk_hung = disk_hung;
    car->cluster = cluster;
    car->marks = marks;
    car->marks_saved = marks;
    car->start_nonce = start_nonce;
    car->last_office_nonce = office_nonce;
    car->number = local_us(sim, instance) * NS_PER_US;
    car->generation = generation;
    car->action_serial = serial;
    car->next_member = (uint32_t)prng_below(&sim->timing, sim->members_count) + 1;
    lease_holder_init(&car->holder, generation << 32 | 1);
    instance->db.set_version = 0; /* what was set before is not known */
    instance->db.confirmed_version = 0;
    sim_trace(sim, "i%u: sidecar starts", instance->number);
    sim_car_soon(sim, instance);
}

void sim_car_crash(struct sim *sim, struct sim_instance *instance, bool tell)
{
    struct sim_car *car = &instance->car;

    if (!car->up) {
        return;
    }
    sim_trace(sim, "i%u: sidecar ends", instance->number);
    car->up = false;
    car->paused = false;
    car->generation++;
    sim_stream_close(sim, car->stream, true, tell);
    car->stream = 0;
    sim_car_save_lost(sim, instance);
    if (sim->mutant == MUTANT_STATE_FORGOTTEN) {
        struct incarnation incarnation = car->turn.state.incarnation;
        memset(&car->turn.state, 0, sizeof(car->turn.state));
        car->turn.state.incarnation = incarnation;
    }
}

void sim_car_timer(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    struct sim_car *car = &instance->car;

    if (!car->up || generation != car->generation || car->timer_at_us != sim->now_us) {
        if (car->up && generation == car->generation && car->timer_at_us < sim->now_us) {
            car->timer_at_us = 0; /* was held up by a pause */
            sim_car_soon(sim, instance);
        }
        return;
    }
    car->timer_at_us = sim->now_us + TICK_US + sim_draw(sim, 0, TICK_US / 10);
    sim_at(
        sim,
        car->timer_at_us,
        (struct sim_item){.kind = EV_CAR_TIMER, .node = instance->node, .number = car->generation});
    if (car->paused) {
        return;
    }
    keep_session(sim, instance);
    probe_primary(sim, instance);
    sim_car_keep(sim, instance);
}

void sim_car_soon(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    uint64_t at_us = sim->now_us + 1;

    if (!car->up || (car->timer_at_us > sim->now_us && car->timer_at_us <= at_us)) {
        return;
    }
    car->timer_at_us = at_us;
    sim_at(
        sim,
        at_us,
        (struct sim_item){.kind = EV_CAR_TIMER, .node = instance->node, .number = car->generation});
}

void sim_car_message(struct sim *sim, struct sim_instance *instance, const struct sim_body *body)
{
    struct sim_car *car = &instance->car;

    if (!car->up) {
        return;
    }
    car->heard_us = sim->now_us;
    if (body->kind == BODY_WELCOME) {
        car->instance = body->welcome.instance;
        car->cluster = body->welcome.cluster;
        instance->id = body->welcome.instance;
        car->reported_us = 0;
        lease_holder_session_opened(&car->holder);
    } else if (body->kind == BODY_GOAL) {
        marks_merge(&car->marks, &body->goal.marks);
        if (!car->has_goal || goal_compare(&body->goal, &car->goal) >= 0) {
            car->goal = body->goal;
            car->has_goal = true;
        }
    } else if (body->kind == BODY_ANSWER) {
        bool moved = lease_holder_answer(&car->holder, &body->answer);
        if (sim->mutant == MUTANT_LEASE_FROM_REPLY && body->answer.granted && moved) {
            uint64_t right_ms = body->answer.lease_ms - LEASE_MARGIN_MS;
            car->holder.deadline_ns = (local_us(sim, instance) + right_ms * SIM_MS) * NS_PER_US;
        }
        if (moved) {
            sim_guard_arm(sim, instance, car->holder.epoch, car->holder.deadline_ns / NS_PER_US);
        }
    }
    sim_car_keep(sim, instance);
}

void sim_car_closed(struct sim *sim, struct sim_instance *instance)
{
    instance->car.stream = 0;
    instance->car.asked_us = 0;
    sim_car_soon(sim, instance);
}

void sim_car_finished(struct sim *sim, struct sim_instance *instance, uint64_t serial)
{
    struct sim_car *car = &instance->car;

    if (serial != car->action_serial || !car->up) {
        return;
    }
    if (car->paused) {
        sim_after(
            sim,
            20 * SIM_MS,
            (struct sim_item){.kind = EV_CAR_FINISHED, .node = instance->node, .number = serial});
        return;
    }
    car->running = KEEPER_NONE;
    sim_car_keep(sim, instance);
}

static void keep_session(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;

    if (car->stream != 0) {
        bool silent = sim->now_us - car->heard_us > SILENCE_US;
        bool unwelcome = car->heard_us <= car->asked_us && sim->now_us - car->asked_us > WELCOME_US;
        if (silent || unwelcome) {
            sim_stream_close(sim, car->stream, true, true);
            car->stream = 0;
        }
    }
    if (car->stream == 0) {
        if (sim->now_us - car->asked_us >= TICK_US) {
            say_hello(sim, instance);
        }
        return;
    }
    if (sim->now_us - car->pinged_us >= SILENCE_US / 4) {
        car->pinged_us = sim->now_us;
        sim_stream_send(sim, car->stream, true, (struct sim_body){.kind = BODY_PING});
    }
}

static void say_hello(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    struct sim_body body = {.kind = BODY_HELLO};

    car->next_member = car->next_member % sim->members_count + 1;
    car->asked_us = sim->now_us;
    car->heard_us = sim->now_us;
    const struct sim_member *member = &sim->members[car->next_member];
    if (!member->up && !sim->net.links[instance->node][member->node].cut) {
        return; /* refused */
    }
    (void)snprintf(body.hello.shard, NAME_SIZE, "s%u", instance->shard);
    (void)snprintf(body.hello.instance, NAME_SIZE, "i%u", instance->number);
    (void)snprintf(body.hello.region, NAME_SIZE, "region-%u", instance->region);
    (void)snprintf(body.hello.address, ADDRESS_SIZE, "10.0.0.%u:5432", instance->number);
    body.hello.cluster = car->cluster;
    car->stream = sim_stream_open(sim, STREAM_SESSION, instance->node, member->node);
    sim_stream_send(sim, car->stream, true, body);
}

static void keep_lease(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    struct sim_body body = {.kind = BODY_RENEWAL};

    const struct goal *goal = car->has_goal ? &car->goal : NULL;
    lease_holder_goal(
        &car->holder, keeper_turn_lease(&car->turn, goal), car->turn.state.fenced_epoch);
    if (car->stream != 0 && car->instance.value != 0 &&
        lease_holder_renew(&car->holder, local_us(sim, instance) * NS_PER_US, &body.renewal)) {
        sim_stream_send(sim, car->stream, true, body);
    }
}

/* A new connection to the primary's port: what it finds depends on who is alive there. */
static void probe_primary(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    const struct sim_instance *other = NULL;
    enum reach reach = REACH_OK;

    if (car->has_goal && car->goal.upstream.value != 0) {
        other = sim_instance_by_id(sim, instance->shard, car->goal.upstream);
    }
    if (other == NULL || other == instance) {
        car->reach = REACH_UNKNOWN;
        car->reach_of.value = 0;
        return;
    }
    bool cut = sim->net.links[instance->node][other->node].cut ||
               sim->net.links[other->node][instance->node].cut;
    if (cut || !other->up || other->paused || other->db.hung) {
        reach = REACH_SILENT;
    } else if (other->db.process == DB_DOWN || other->db.leftovers) {
        reach = REACH_REFUSED;
    }
    if (reach != car->reach || car->reach_of.value != car->goal.upstream.value) {
        car->reach = reach;
        car->reach_of = car->goal.upstream;
        car->reach_since_us = sim->now_us;
    }
}

void sim_car_keep(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    struct keeper_facts facts;
    struct keeper_action action;

    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        keep_lease(sim, instance);
        sim_car_facts(sim, instance, &facts);
        keeper_turn_next(&car->turn, &facts, car->has_goal ? &car->goal : NULL, &action);
        if (car->turn.saving) {
            sim_car_save(sim, instance);
        }
        if (action.kind == KEEPER_REFUSE) {
            car->has_goal = false;
        } else if (action.kind != KEEPER_NONE && action.kind != KEEPER_WAIT) {
            sim_car_begin(sim, instance, &action);
        }
        if (sim->mutant != MUTANT_PROMISE_UNWRITTEN || action.kind != KEEPER_WAIT) {
            break;
        }
    }
    keep_marks(sim, instance);
    report(sim, instance);
}

static void keep_marks(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    struct keeper_facts facts;

    sim_car_facts(sim, instance, &facts);
    keeper_note_marks(&facts, &car->turn.state, car->instance, &car->marks);
    if (sim->now_us - car->marks_saved_us >= MARKS_SAVED_US) {
        car->marks_saved = car->marks;
        car->marks_saved_us = sim->now_us;
    }
    /* Marks are the second line behind final positions: with them such a report is refused. */
    if (sim->mutant == MUTANT_MARK_IGNORED || sim->mutant == MUTANT_POSITION_OPEN) {
        memset(&car->marks, 0, sizeof(car->marks));
    }
}

static void report(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    struct keeper_facts facts;
    struct sim_body body = {.kind = BODY_REPORT};

    if (car->stream == 0 || car->instance.value == 0) {
        return;
    }
    sim_car_facts(sim, instance, &facts);
    keeper_report(
        &facts, &car->turn.state, car->has_goal ? &car->goal : NULL, car->instance, &body.report);
    if (sim->now_us - car->reported_us < REPORT_US && !differs(&body.report, &car->reported)) {
        return;
    }
    body.lapsed = car->lapsed;
    body.made_us = sim->now_us;
    body.report.number = ++car->number;
    car->reported = body.report;
    car->reported_us = sim->now_us;
    sim_stream_send(sim, car->stream, true, body);
}

/* What must be told at once. */
static bool differs(const struct report *a, const struct report *b)
{
    return a->epoch.value != b->epoch.value || a->goal_index != b->goal_index ||
           a->goal_met != b->goal_met || a->state != b->state ||
           a->fenced_epoch.value != b->fenced_epoch.value ||
           a->incarnation.value != b->incarnation.value ||
           a->promoted_epoch.value != b->promoted_epoch.value || a->canary_ok != b->canary_ok ||
           a->sync_confirmed_version != b->sync_confirmed_version ||
           strcmp(a->lapse, b->lapse) != 0 || a->cut_undone != b->cut_undone ||
           a->continuous != b->continuous || a->primary_reach != b->primary_reach ||
           a->receiver_streaming != b->receiver_streaming ||
           a->caught_up_count != b->caught_up_count || a->streaming_count != b->streaming_count;
}

static uint64_t local_us(const struct sim *sim, const struct sim_instance *instance)
{
    return sim_clock_read(sim, instance->node);
}
