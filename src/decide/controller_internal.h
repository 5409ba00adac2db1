/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the controller share: controller.c (the replicated side, offices, outputs),
 * controller_plan.c (deciders and proposals), controller_session.c (sidecars). Nobody else includes
 * this. */
#ifndef INDABA_DECIDE_CONTROLLER_INTERNAL_H
#define INDABA_DECIDE_CONTROLLER_INTERNAL_H

#include "decide/candidate.h"
#include "decide/controller.h"
#include "decide/observation.h"
#include "decide/refused_order.h"

/* One shard. At most one proposal of it is under way. */
struct shard_slot {
    struct shard_view view;
    struct observations observations;

    uint64_t ticket;              /* of the proposal under way; 0: none */
    uint64_t proposed_ms;         /* when it was made */
    uint64_t ticket_session;      /* the hello it is for; 0: none */
    uint64_t wait_index;          /* applied up to here before the next proposal */
    uint64_t held_until_ms;       /* after a refusal */
    struct command *command;      /* made and not yet taken by controller_next; owned */
    enum command_kind order_kind; /* of the proposal under way, and what it said */
    uint64_t order_print;
    struct refused_order refused; /* since the view last changed */

    bool dirty;       /* is in controller->dirty */
    bool goals_dirty; /* the view changed or a session was welcomed */
    char waiting[TEXT_SIZE];
    struct marks marks_told; /* to the sidecars, with their goals … */
    uint64_t marks_told_ms;  /* … then */

    /* An operator's wish. */
    bool requested;
    uint64_t requested_ms;
    struct instance_id wanted;
    struct epoch
        wanted_epoch; /* the epoch begun for it; `wanted` holds until the shard is open again */
    char request_reason[TEXT_SIZE];
};

struct session {
    uint64_t id;
    struct shard_id shard;
    struct instance_id instance; /* none before the welcome */
    struct hello hello;
    bool goal_sent;
    struct epoch goal_epoch;
    uint64_t goal_index;
};

struct queued {
    enum controller_output_kind kind;
    uint64_t session;
    struct shard_id shard;
    uint64_t number; /* READ: read id */
    char *text;      /* CLOSE: owned */
};

struct controller {
    struct leases *leases;
    struct cluster_id cluster;
    char member_name[NAME_SIZE];
    struct region regions[REGIONS_MAX];
    uint32_t regions_count;
    uint32_t cluster_epoch;
    bool unconfirmed; /* see controller_recovery_changed */
    uint64_t applied_index;

    struct shard_slot **slots; /* by shard id - 1; NULL where unknown */
    uint32_t slots_count;
    struct shard_id *dirty;
    uint32_t dirty_count;

    bool leader;
    uint64_t term;
    uint64_t elected_ms;
    uint64_t last_tick_ms;
    uint64_t last_wall_ms;
    uint64_t ticket_last;
    uint64_t proposals;

    struct session *sessions; /* ascending by id */
    uint32_t sessions_count;
    uint32_t sessions_cap;

    struct queued *queue; /* ring */
    uint32_t queue_head;
    uint32_t queue_count;
    uint32_t queue_cap;
};

/* controller.c */
struct shard_slot *controller_slot(const struct controller *controller, struct shard_id shard);
void controller_mark_dirty(struct controller *controller, struct shard_slot *slot);
void controller_queue(struct controller *controller, const struct queued *queued);

/* controller_plan.c */
/* Runs the deciders of one shard, unless a proposal of it is under way. */
void controller_plan(struct controller *controller, struct shard_slot *slot, uint64_t now_ms);
/* Takes the command made for the shard into an output. */
void controller_take_command(struct controller *controller,
                             struct shard_slot *slot,
                             struct controller_output *output_out);

/* controller_session.c */
struct session *controller_session(const struct controller *controller, uint64_t id);
/* Welcomes whoever became known, and queues goals that changed. */
void controller_flush_goals(struct controller *controller,
                            struct shard_slot *slot,
                            uint64_t now_ms);
/* Ends a session from our side, with the reason. */
void controller_end_session(struct controller *controller, uint64_t id, const char *text);
void controller_drop_sessions(struct controller *controller);
/* The first session of the shard that waits to be known, NULL if none. */
const struct session *controller_unknown_session(const struct controller *controller,
                                                 struct shard_id shard);

#endif
