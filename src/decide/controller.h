/* SPDX-License-Identifier: Apache-2.0 */
/* The controller joins the deciders: it mirrors the shards' views, keeps what the leader heard,
 * reckons leases, and turns all of it into outputs: commands to propose, Raft reads to ask for,
 * messages to sidecars. Every member owns one (the mirror and the sightings of closed leases must
 * be there when it is elected); only the leader's gives outputs.
 *
 * Pure: no libuv, clock or I/O, the same object in the shell and in the simulator. One thread.
 * Times are the member's monotonic milliseconds; wall clock is for people only.
 *
 * How the owner drives it: feed inputs (below) as they happen, call controller_tick at least every
 * CONTROLLER_TICK_MS while leader, and after every input or batch of inputs drain controller_next
 * until it returns false, doing each output at once and in order. */
#ifndef INDABA_DECIDE_CONTROLLER_H
#define INDABA_DECIDE_CONTROLLER_H

#include "decide/leases.h"
#include "state/command.h"

enum {
    CONTROLLER_TICK_MS = 50,
    /* A proposal without an answer for so long is taken as lost and made again if still needed. */
    CONTROLLER_PROPOSAL_MS = 3000,
};

struct controller;

struct controller *controller_new(void);
void controller_free(struct controller *controller);

/* --- the replicated state, on every member, in the order of the log ------------------------- */

/* Also called at start for what the store holds. `member_name` is this member's own, told to
 * sidecars in the welcome. */
void controller_cluster_changed(struct controller *controller,
                                struct cluster_id cluster,
                                const char *member_name,
                                uint32_t lease_ms);
/* Forced recoveries so far, and whether the members left behind by the last one may still run: then
 * nothing rests on the end of a lease. */
void controller_recovery_changed(struct controller *controller,
                                 uint32_t cluster_epoch,
                                 bool unconfirmed);
void controller_regions_changed(struct controller *controller,
                                const struct region *regions,
                                uint32_t count);
/* A shard was created or changed; at start once per shard. The view is copied. */
void controller_view_changed(struct controller *controller,
                             const struct shard_view *view,
                             uint64_t now_ms);
/* All changes up to `index` were given. Call it after each batch that was applied, also when no
 * shard changed in it: renewals wait for it. */
void controller_applied(struct controller *controller, uint64_t index);

/* --- this member's office -------------------------------------------------------------------- */

/* Call as leader of `term` when the first entry of that term has been applied (and its changes
 * given above): before it the mirror may lag behind what earlier leaders decided. */
void controller_elected(struct controller *controller, uint64_t term, uint64_t now_ms);
/* Every session is dropped without output: the owner closes them (the sidecars look for the new
 * leader). */
void controller_stepped_down(struct controller *controller);

/* --- sidecar sessions, leader only ------------------------------------------------------------ */

/* Session ids are the owner's, not 0, ascending, never reused. The first message of a session.
 * Registers or updates the instance if needed; the welcome comes out when it is known. An error
 * ends the session; `message_out` (TEXT_SIZE bytes) says what, where, what to do: ERR_NOT_LEADER,
 * ERR_NOT_FOUND (no such shard), ERR_INVALID (names, address), ERR_WRONG_CLUSTER, ERR_LIMIT. */
MUST_CHECK enum error controller_hello(struct controller *controller,
                                       uint64_t session,
                                       const struct hello *hello,
                                       char *message_out);
/* ERR_PRECONDITION before the welcome or over a session that was replaced: close it. */
MUST_CHECK enum error controller_report(struct controller *controller,
                                        uint64_t session,
                                        const struct report *report,
                                        uint64_t now_ms);
MUST_CHECK enum error
controller_renewal(struct controller *controller, uint64_t session, const struct renewal *renewal);
/* Unknown sessions are ignored. */
void controller_session_closed(struct controller *controller, uint64_t session, uint64_t now_ms);

/* --- completions ------------------------------------------------------------------------------ */

/* The read asked for by CONTROLLER_READ. */
void controller_read_ready(struct controller *controller,
                           uint64_t read_id,
                           uint64_t index,
                           bool confirmed);
/* The command of CONTROLLER_PROPOSE was applied (result: index, error) or is known not to be
 * (result->index 0). */
void controller_proposed(struct controller *controller,
                         uint64_t ticket,
                         const struct command_result *result);

/* --- people ----------------------------------------------------------------------------------- */

struct controller_wish {
    struct shard_id shard;
    struct instance_id wanted; /* none: the best one */
    const char *reason;
};

/* An operator wants another primary. The answer is whether it is taken up: ERR_NOT_LEADER,
 * ERR_NOT_FOUND, ERR_PRECONDITION (a failover is under way, no primary yet, or it could not be
 * finished with what is heard now: then nothing was touched), ERR_INVALID (wanted is not of the
 * shard, is the primary, or is not in an allowed region). What was taken up and cannot begin after
 * all is withdrawn after a few seconds. The caller then watches the shard's view. */
MUST_CHECK enum error controller_failover(struct controller *controller,
                                          const struct controller_wish *wish,
                                          uint64_t now_ms,
                                          char *message_out);

/* What the leader waits for on this shard, "" if nothing; TEXT_SIZE bytes. */
void controller_waiting(const struct controller *controller, struct shard_id shard, char *text_out);

struct controller_instance {
    bool session_open;
    bool heard;
    uint64_t report_age_ms;
    struct report report; /* valid with `heard` */
};

/* How an instance was last heard of in this office. ERR_NOT_FOUND; ERR_NOT_LEADER. */
MUST_CHECK enum error controller_instance(const struct controller *controller,
                                          struct shard_id shard,
                                          struct instance_id instance,
                                          uint64_t now_ms,
                                          struct controller_instance *instance_out);

struct controller_counts {
    struct leases_counts leases;
    uint32_t sessions;
    uint32_t shards;
    uint64_t proposals;
};

struct controller_counts controller_counts(const struct controller *controller);

/* --- outputs ---------------------------------------------------------------------------------- */

/* Runs the deciders. Leader only; does nothing otherwise. */
void controller_tick(struct controller *controller, uint64_t now_ms, uint64_t wall_ms);

/* Leader, before a tick: no quorum of the members answers it now. It judges nobody by silence then,
 * nor right after (decide/detector.c). */
void controller_out_of_touch(struct controller *controller, uint64_t now_ms);

enum controller_output_kind {
    CONTROLLER_PROPOSE, /* append `command` in this term; report back by controller_proposed */
    CONTROLLER_READ,    /* ask Raft for a read index; report back by controller_read_ready */
    CONTROLLER_WELCOME,
    CONTROLLER_GOAL,
    CONTROLLER_RENEWAL_ANSWER,
    CONTROLLER_CLOSE, /* end the session: `text` says why; no controller_session_closed needed */
};

struct controller_output {
    enum controller_output_kind kind;
    uint64_t session; /* WELCOME, GOAL, RENEWAL_ANSWER, CLOSE */

    union {
        struct {
            uint64_t ticket;
            struct command command;
        } propose;

        uint64_t read_id;

        struct {
            struct cluster_id cluster;
            struct shard_id shard;
            struct instance_id instance;
            char leader[NAME_SIZE];
            uint64_t term;
            uint32_t cluster_epoch;
        } welcome;

        struct goal goal;
        struct renewal_answer renewal_answer;
        char text[TEXT_SIZE];
    };
};

/* The next output, false when there is none. Renewal answers must leave at once: the time of a
 * grant is noted as `now_ms`. */
bool controller_next(struct controller *controller,
                     uint64_t now_ms,
                     struct controller_output *output_out);

#endif
