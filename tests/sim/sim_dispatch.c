/* SPDX-License-Identifier: Apache-2.0 */
/* Who an event of the queue is for. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

static void start_if_down(struct sim *sim, struct sim_member *member);
static void
dispatch_member(struct sim *sim, struct sim_member *member, const struct sim_item *item);
static void dispatch_keys(struct sim *sim, struct sim_member *member, const struct sim_item *item);
static void dispatch_instance(struct sim *sim, const struct sim_item *item);

void sim_dispatch(struct sim *sim, const struct sim_item *item)
{
    bool of_a_member = item->node > 0 && item->node <= sim->members_count;
    struct sim_member *member = of_a_member ? &sim->members[item->node] : NULL;

    switch ((enum sim_event_kind)item->kind) {
    case EV_MEMBER_TIMER:
    case EV_MEMBER_TICK:
    case EV_MEMBER_APPLY:
    case EV_MEMBER_DISK:
    case EV_MEMBER_REDIAL:
    case EV_MEMBER_FILE:
    case EV_MEMBER_START:
        dispatch_member(sim, member, item);
        break;
    case EV_PARCEL:
        sim_pipe_parcel(sim, member, item->data);
        break;
    case EV_STREAM:
        sim_stream_deliver(sim, item->number);
        break;
    case EV_FAULT:
        sim_fault(sim);
        break;
    case EV_OPERATOR:
        sim_operator(sim);
        break;
    case EV_FLAP:
        sim_flap(sim, item->number);
        break;
    case EV_UNDO:
        sim_undo(sim, item->number);
        break;
    case EV_CHECK:
        sim_check_liveness(sim);
        break;
    case EV_KEYS_CLIENT:
    case EV_KEYS_ASK:
    case EV_KEYS_ANSWER:
    case EV_KEYS_INDEX_ASKED:
    case EV_KEYS_INDEX:
        dispatch_keys(sim, member, item);
        break;
    case EV_CAR_TIMER:
    case EV_CAR_ACTION:
    case EV_CAR_FINISHED:
    case EV_CAR_SAVED:
    case EV_GUARD:
    case EV_GUARD_KILLED:
    case EV_DB_STARTED:
    case EV_DB_FLUSHED:
    case EV_DB_RELOAD:
    case EV_DB_CONNECT:
    case EV_DB_FORK_READ:
    case EV_CLIENT:
        dispatch_instance(sim, item);
        break;
    case EV_LOAD:
        sim_load(sim);
        break;
    case EV_STOP:
        break;
    }
}

static void start_if_down(struct sim *sim, struct sim_member *member)
{
    if (!member->up) {
        sim_member_start(sim, member);
    }
}

static void dispatch_member(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    if (item->kind == EV_MEMBER_TIMER) {
        sim_member_timer(sim, member, item->number);
    } else if (item->kind == EV_MEMBER_TICK) {
        sim_member_tick(sim, member, item->number);
    } else if (item->kind == EV_MEMBER_APPLY) {
        sim_member_apply(sim, member, item->number);
    } else if (item->kind == EV_MEMBER_DISK) {
        sim_member_disk(sim, member, item);
    } else if (item->kind == EV_MEMBER_REDIAL) {
        sim_member_redial(sim, member, item->number);
    } else if (item->kind == EV_MEMBER_FILE) {
        sim_io_file(sim, member, item);
    } else {
        start_if_down(sim, member);
    }
}

static void dispatch_keys(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    if (member != NULL && member->up && member->paused) {
        sim_after(sim, 20 * SIM_MS, *item);
        return;
    }
    if (item->kind == EV_KEYS_CLIENT) {
        sim_client_timer(sim, item->number);
    } else if (item->kind == EV_KEYS_ANSWER) {
        sim_client_answer(sim, item->data);
    } else if (item->kind == EV_KEYS_ASK) {
        sim_serve_ask(sim, member, item->data);
    } else if (item->kind == EV_KEYS_INDEX_ASKED) {
        sim_serve_index_asked(sim, member, item->data);
    } else {
        sim_serve_index(sim, member, item->data);
    }
    mem_free(item->data);
}

static void dispatch_instance(struct sim *sim, const struct sim_item *item)
{
    struct sim_instance *instance = sim_instance_of_node(sim, item->node);
    /* What a stopped machine would have done happens when it runs again. */
    if (instance->paused && item->kind != EV_CLIENT) {
        struct sim_item later = *item;
        sim_after(sim, 20 * SIM_MS, later);
        return;
    }
    switch ((enum sim_event_kind)item->kind) {
    case EV_CAR_TIMER:
        sim_car_timer(sim, instance, item->number);
        break;
    case EV_CAR_ACTION:
        sim_car_effect(sim, instance, item->number);
        break;
    case EV_CAR_FINISHED:
        sim_car_finished(sim, instance, item->number);
        break;
    case EV_CAR_SAVED:
        sim_car_saved(sim, instance, item->number);
        break;
    case EV_GUARD:
        sim_guard_timer(sim, instance);
        break;
    case EV_GUARD_KILLED:
        sim_guard_killed(sim, instance, item->number);
        break;
    case EV_DB_STARTED:
        sim_db_started(sim, instance, item->number);
        break;
    case EV_DB_FLUSHED:
        sim_db_flushed(sim, instance, item->number);
        break;
    case EV_DB_RELOAD:
        sim_db_reload(sim, instance, item->number);
        break;
    case EV_DB_CONNECT:
        sim_db_connect_again(sim, instance, item->number);
        break;
    case EV_DB_FORK_READ:
        sim_db_fork_read(sim, instance, item->number);
        break;
    case EV_CLIENT:
        sim_db_client(sim, instance);
        break;
    case EV_MEMBER_TIMER:
    case EV_MEMBER_TICK:
    case EV_MEMBER_APPLY:
    case EV_MEMBER_DISK:
    case EV_MEMBER_REDIAL:
    case EV_PARCEL:
    case EV_MEMBER_FILE:
    case EV_MEMBER_START:
    case EV_OPERATOR:
    case EV_FLAP:
    case EV_STREAM:
    case EV_FAULT:
    case EV_UNDO:
    case EV_CHECK:
    case EV_LOAD:
    case EV_STOP:
    case EV_KEYS_CLIENT:
    case EV_KEYS_ASK:
    case EV_KEYS_ANSWER:
    case EV_KEYS_INDEX_ASKED:
    case EV_KEYS_INDEX:
        UNREACHABLE("not of an instance");
    }
}
