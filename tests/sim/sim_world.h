/* SPDX-License-Identifier: Apache-2.0 */
/* The whole world in one thread under virtual time: members (real Raft core, state machine and
 * controller on virtual disks), sidecars (real keeper and lease holder), fake guardians and fake
 * databases, a network, clocks that run at different rates, clients that write, and faults drawn
 * from the seed. Everything is reachable from one struct sim; nothing here reads a real clock or a
 * random source, so a seed replays exactly.
 *
 * Time is true time in microseconds since the start; each node has a clock of its own.
 * sim_world.c time, queue, hash · sim_stream.c ordered connections · sim_member*.c coordinators,
 * each with the node of production, and sim_io*.c what that asks for ·
 * sim_car.c sidecars · sim_db*.c guardian and database · sim_fault.c faults · sim_check.c
 * invariants
 */
#ifndef INDABA_TESTS_SIM_SIM_WORLD_H
#define INDABA_TESTS_SIM_SIM_WORLD_H

#include "tests/sim/sim_types.h"

struct sim {
    uint64_t seed;
    enum sim_mutant mutant;
    bool verbose;
    uint64_t now_us;
    uint64_t events;
    uint64_t hash;
    struct sim_queue queue;
    struct sim_net net;
    struct sim_swarm swarm;
    struct prng faults;
    struct prng work;
    struct prng timing;
    struct prng keys;
    struct prng reads; /* of snapshots, which fail now and then */
    struct sim_clock clocks[SIM_NODES_MAX + 1];
    struct sim_member members[SIM_MEMBERS_MAX + 1];       /* from 1; node = number */
    struct sim_instance instances[SIM_INSTANCES_MAX + 1]; /* from 1; node = members + number */
    struct sim_shard shards[SIM_SHARDS_MAX + 1];
    uint32_t members_count;
    uint64_t change_term;   /* of the leader that took the latest change of members */
    uint64_t changes_count; /* of the configuration, as operators ask for them */
    uint64_t installs_count;
    uint64_t refusals_count; /* to start, because of rot */
    uint64_t vouches_count;  /* a person had to name a member */
    uint64_t quarantines_count;
    uint64_t wrong_states; /* so often was a member's state made wrong on purpose */
    uint32_t instances_count;
    uint32_t shards_count;
    struct raft_configuration configuration;
    struct sim_pipes pipes;
    struct sim_stream *streams; /* from 1 */
    uint32_t streams_count;
    uint32_t streams_cap;
    struct sim_clients clients;
    struct sim_write *writes; /* from 1 */
    uint64_t writes_count;
    uint64_t writes_cap;
    uint32_t serial_last;
    uint64_t set_back; /* folders that were replaced by older copies of themselves */
    uint64_t by_hand;  /* folders that somebody wrote into */
    bool healing;
    uint64_t healed_us;
    /* Checkers: what was applied at each index, by whoever was first. */
    struct sim_applied *applied;
    uint64_t applied_count;
    uint64_t applied_cap;
    uint64_t term_leaders_count;
    struct member_id *term_leaders; /* by term */
    bool failed;
    bool stood_still; /* the failure is that nothing goes on, not that something went wrong */
    char failure[512];
};

/* --- sim_world.c ------------------------------------------------------------------------------ */

/* Runs one world from its seed; true if nothing was violated. `sim_out` keeps figures and failure;
 * release with sim_deinit. */
bool sim_run(struct sim *sim, uint64_t seed, enum sim_mutant mutant, bool verbose);
void sim_deinit(struct sim *sim);
/* Members alone: a command every `load_us` (0: none) for `measured_us`. */
void sim_run_measured(struct sim *sim, uint32_t members, uint64_t load_us, uint64_t measured_us);
/* An invariant is broken: the run ends after this event. The first one counts. */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *sim, const char *format, ...);
__attribute__((format(printf, 2, 3))) void
sim_trace(const struct sim *sim, const char *format, ...);
void sim_at(struct sim *sim, uint64_t at_us, struct sim_item item);
void sim_after(struct sim *sim, uint64_t delay_us, struct sim_item item);
void sim_mix(struct sim *sim, uint64_t value);
/* A node's own clock, in microseconds, and when it will show a value. */
uint64_t sim_clock_read(const struct sim *sim, uint32_t node);
uint64_t sim_clock_when(const struct sim *sim, uint32_t node, uint64_t local_us);
uint64_t sim_draw(struct sim *sim, uint64_t low_us, uint64_t high_us);
struct sim_instance *sim_instance_of_node(struct sim *sim, uint32_t node);
struct sim_instance *sim_instance_by_id(struct sim *sim, uint32_t shard, struct instance_id id);
/* 10.0.0.3:5432 is instance 3; 0 for anything else. */
uint32_t sim_number_of_address(const char *address);

/* A command of the measured load, and the next one. */
void sim_load(struct sim *sim);
/* Whether everything is well again, once faults have ended; the run ends then. */
void sim_check_liveness(struct sim *sim);

/* --- sim_dispatch.c --------------------------------------------------------------------------- */

void sim_dispatch(struct sim *sim, const struct sim_item *item);

/* --- sim_stream.c ----------------------------------------------------------------------------- */

uint32_t sim_stream_open(struct sim *sim, enum sim_stream_kind kind, uint32_t a, uint32_t b);
/* Takes what the body owns. */
void sim_stream_send(struct sim *sim, uint32_t stream, bool to_b, struct sim_body body);
void sim_stream_deliver(struct sim *sim, uint64_t number);
/* This end is gone; the other hears of it if `tell`. */
void sim_stream_close(struct sim *sim, uint32_t stream, bool by_a, bool tell);
void sim_streams_free(struct sim *sim);

/* --- sim_member.c ----------------------------------------------------------------------------- */

void sim_member_start(struct sim *sim, struct sim_member *member);
/* With `power` lost, or killed. */
void sim_member_crash(struct sim *sim, struct sim_member *member, bool power, bool tell);
/* Empty, with a new identity: not a member until it is added. */
void sim_member_replace(struct sim *sim, struct sim_member *member);
/* Whose peer address that is, of which of its lives; 0: nobody's. */
uint32_t sim_member_at(const struct sim *sim, const char *address, uint32_t *incarnation_out);
/* What the record says of it: a voter. */
void sim_member_record(const struct sim_member *from, struct member *to);

static inline uint32_t sim_node_of(struct member_id id)
{
    return (uint32_t)(id.lo & 0xFF);
}

void sim_member_stop(struct sim *sim, struct sim_member *member); /* at the end: releases */
void sim_member_timer(struct sim *sim, struct sim_member *member, uint64_t generation);
void sim_member_tick(struct sim *sim, struct sim_member *member, uint64_t generation);
/* Time has passed, whatever its clock says. */
void sim_member_look_up(struct sim *sim, struct sim_member *member);
void sim_member_disk(struct sim *sim, struct sim_member *member, const struct sim_item *item);
void sim_member_redial(struct sim *sim, struct sim_member *member, uint64_t generation);
void sim_member_apply(struct sim *sim, struct sim_member *member, uint64_t generation);
void sim_member_resume(struct sim *sim, struct sim_member *member);
struct sim_member *sim_leader(struct sim *sim);
/* Whatever comes of it. */
void sim_member_propose(struct sim_member *member, const struct command *command);
/* What clients of the key-value store ask of the leader. */
void sim_keys_propose(struct sim *sim, struct sim_member *member);
/* After each call of the core: its apply thread works, what it asked for is brought to it, and it
 * is looked at. The core may be gone afterwards. */
void sim_member_settle(struct sim *sim, struct sim_member *member);
uint64_t sim_member_local_ms(const struct sim *sim, const struct sim_member *member);
/* sim_member_service.c: sidecars, and founding */
void sim_member_attach(struct sim_member *member);
void sim_member_message(struct sim *sim,
                        struct sim_member *member,
                        uint32_t stream,
                        const struct sim_body *body);
void sim_member_closed(struct sim *sim, struct sim_member *member, uint32_t stream);
void sim_member_drop_sessions(struct sim *sim, struct sim_member *member);
void sim_member_found(struct sim *sim, struct sim_member *member);
/* sim_io.c: what a member's core asks of the outside; sim_io_disk.c: its folder; sim_io_apply.c:
 * its tables */
void sim_io_fill(struct sim_member *member);
void sim_io_disk_fill(struct node_io *io);
void sim_io_apply_fill(struct node_io *io);
const struct peers_io *sim_io_links(void);
struct sim_file_task;
void sim_io_file(struct sim *sim, struct sim_member *member, const struct sim_item *item);
void sim_io_file_drop(struct sim_file_task *task);
/* False if there was nothing to do. */
bool sim_io_work(struct sim *sim, struct sim_member *member);
void sim_io_drop_jobs(struct sim_member *member);
/* The tables are those of a snapshot, from a file. */
MUST_CHECK enum error
sim_io_load(struct sim_member *member, const char *path, struct reason *reason);
/* sim_pipe.c: connections between members */
struct sim_pipe *sim_pipe_new(struct sim *sim, uint32_t from, uint32_t to, uint32_t incarnation);
/* What its certificate says: the member of this name. */
void sim_pipe_identify(struct peer_conn *conn, const char *name);
struct peer_party sim_pipe_party(const struct peer_conn *conn);
void sim_pipe_dial(struct sim *sim, struct sim_pipe *pipe);
MUST_CHECK enum error
sim_pipe_write(struct sim *sim, struct peer_conn *conn, uint8_t type, struct slice payload);
void sim_pipe_close(struct sim *sim, struct peer_conn *conn);
/* `silent`: as a machine does that loses its power. */
void sim_pipe_forget(struct sim *sim, struct peer_conn *conn, bool silent);
void sim_pipe_tick(struct sim *sim, struct sim_member *member);
/* Takes the parcel. */
void sim_pipe_parcel(struct sim *sim, struct sim_member *member, struct sim_parcel *parcel);
void sim_pipe_drop(struct sim *sim, struct sim_parcel *parcel);
/* Somebody who is not what he says dials, says a handshake, and this, at that time. */
void sim_pipe_stranger(struct sim *sim,
                       uint32_t target,
                       uint64_t at_us,
                       const struct raft_message *message);
/* sim_voices.c */
const char *sim_voices_name(struct member_id id, char text[NAME_SIZE]);
bool sim_voices_is_nobody(struct member_id id);
/* MUTANT_STRANGER_HEARD */
void sim_voices_believe(struct peers *peers, struct member_id who);
void sim_voices_vouch(struct sim *sim);
void sim_fault_stranger(struct sim *sim, uint32_t target);
/* sim_operator.c */
/* Whether one member can be lost for good now: everybody else is well. */
bool sim_operator_can_lose_one(struct sim *sim);
void sim_operator(struct sim *sim);
/* True when every member of the configuration runs and has what the leader has. */
bool sim_operator_done(struct sim *sim, char *missing, size_t size);
/* --- sim_car.c, sim_car_action.c ----------------------------------------------------------------
 */

void sim_car_start(struct sim *sim, struct sim_instance *instance);
void sim_car_crash(struct sim *sim, struct sim_instance *instance, bool tell);
void sim_car_timer(struct sim *sim, struct sim_instance *instance, uint64_t generation);
void sim_car_message(struct sim *sim, struct sim_instance *instance, const struct sim_body *body);
void sim_car_closed(struct sim *sim, struct sim_instance *instance);
void sim_car_soon(struct sim *sim, struct sim_instance *instance);
void sim_car_facts(struct sim *sim, struct sim_instance *instance, struct keeper_facts *facts_out);
void sim_car_begin(struct sim *sim,
                   struct sim_instance *instance,
                   const struct keeper_action *action);
void sim_car_effect(struct sim *sim, struct sim_instance *instance, uint64_t serial);
void sim_car_finished(struct sim *sim, struct sim_instance *instance, uint64_t serial);
/* What its turn wants to be durable begins to be written; in the end; and what becomes of it when
 * the sidecar ends before (sim_car_disk.c). */
void sim_car_save(struct sim *sim, struct sim_instance *instance);
void sim_car_saved(struct sim *sim, struct sim_instance *instance, uint64_t generation);
void sim_car_save_lost(struct sim *sim, struct sim_instance *instance);
/* Its keeper's turns, until nothing is left to do now. */
void sim_car_keep(struct sim *sim, struct sim_instance *instance);

/* --- sim_guard.c ------------------------------------------------------------------------------ */

void sim_guard_arm(struct sim *sim,
                   struct sim_instance *instance,
                   struct epoch epoch,
                   uint64_t deadline_us);
void sim_guard_timer(struct sim *sim, struct sim_instance *instance);
/* Begins to kill; done within `within_us`. */
void sim_guard_kill(struct sim *sim, struct sim_instance *instance, uint64_t within_us);
void sim_guard_killed(struct sim *sim, struct sim_instance *instance, uint64_t generation);

/* --- sim_older.c ------------------------------------------------------------------------------ */
void sim_older_started(struct sim *sim, struct sim_instance *instance);
void sim_older_guardian_gone(struct sim_instance *instance);
bool sim_older_is_continuous(const struct sim *sim, const struct sim_instance *instance);
/* sim_by_hand.c */
void sim_by_hand(struct sim *sim, struct sim_instance *instance);
/* Somebody changed the folder in another way: if its sidecar cannot believe it, its word is gone.
 */
void sim_by_hand_note(const struct sim *sim, struct sim_instance *instance);
enum keeper_lineage sim_by_hand_lineage(const struct sim *sim, const struct sim_instance *instance);
/* True if it is not believed, or on record with a folder that it has not any more. */
bool sim_by_hand_is_lost(const struct sim *sim,
                         const struct sim_instance *instance,
                         const struct sync_record *sync);
void sim_older_take_image(struct sim *sim, struct sim_instance *instance, bool with_state);
void sim_older_put_back(struct sim *sim, struct sim_instance *instance);
/* True if its folder still lacks what it once held. */
bool sim_older_is_lost(const struct sim *sim, const struct sim_instance *instance);

/* --- sim_db.c, sim_db_wal.c ------------------------------------------------------------------- */

void sim_db_start(struct sim *sim,
                  struct sim_instance *instance,
                  uint32_t upstream,
                  const char *address);
void sim_db_started(struct sim *sim, struct sim_instance *instance, uint64_t generation);
/* Everything of it ends at once; what was not flushed is lost. */
void sim_db_die(struct sim *sim, struct sim_instance *instance, bool tell);
void sim_db_promote(struct sim *sim,
                    struct sim_instance *instance,
                    struct epoch epoch,
                    uint32_t timeline);
void sim_db_set_upstream(struct sim *sim,
                         struct sim_instance *instance,
                         uint32_t upstream,
                         const char *address);
void sim_db_drop_receiver(struct sim *sim, struct sim_instance *instance);
/* sim_db_timeout.c */
void sim_db_timeouts(struct sim *sim, struct sim_instance *instance);
void sim_db_connect(struct sim *sim, struct sim_instance *instance, uint64_t generation);
void sim_db_copy(struct sim *sim, struct sim_instance *instance, uint32_t upstream);
void sim_db_clone(struct sim *sim, struct sim_instance *instance, uint32_t upstream);
void sim_db_append(struct sim *sim, struct sim_instance *instance, struct wal_entry entry);
void sim_db_flushed(struct sim *sim, struct sim_instance *instance, uint64_t number);
void sim_db_message(struct sim *sim,
                    struct sim_instance *instance,
                    uint32_t stream,
                    const struct sim_body *body);
void sim_db_closed(struct sim *sim, struct sim_instance *instance, uint32_t stream);
/* Another setting, which each walsender takes when it gets to it. */
void sim_db_change_setting(struct sim *sim,
                           struct sim_instance *instance,
                           const struct sync_pair *pair);
/* Commits that wait for nobody. */
void sim_db_release_alone(struct sim *sim, struct sim_instance *instance);
void sim_db_set_sync(struct sim *sim,
                     struct sim_instance *instance,
                     const struct sync_pair *pair,
                     uint64_t version);
void sim_db_reload(struct sim *sim, struct sim_instance *instance, uint64_t number);
void sim_db_fork_read(struct sim *sim, struct sim_instance *instance, uint64_t generation);
void sim_db_release(struct sim *sim, struct sim_instance *instance, uint32_t acting);
bool sim_db_sync_confirmed(struct sim *sim, struct sim_instance *instance);
void sim_db_connect_again(struct sim *sim, struct sim_instance *instance, uint64_t generation);
void sim_db_stream(struct sim *sim, struct sim_instance *instance);
bool sim_db_can_write(struct sim *sim, const struct sim_instance *instance);
void sim_db_client(struct sim *sim, struct sim_instance *instance);
struct position sim_db_position(const struct sim_db *db, uint64_t count);

/* --- sim_fault.c ------------------------------------------------------------------------------ */

void sim_swarm_draw(struct sim *sim);
void sim_fault(struct sim *sim);
void sim_heal(struct sim *sim);
void sim_undo(struct sim *sim, uint64_t number);
/* sim_fault_machine.c: off (`tell`: its sessions end at once), off and on again with an older image
 * of its folder, no longer standing still */
void sim_machine_off(struct sim *sim, struct sim_instance *instance, bool tell);
void sim_machine_set_back(struct sim *sim, struct sim_instance *instance);
void sim_machine_resume(struct sim *sim, struct sim_instance *instance);
/* sim_fault_member.c: disks, clocks, links and offices of members */
void sim_fault_member(struct sim *sim,
                      enum sim_fault_kind kind,
                      uint32_t target,
                      uint64_t lasts_us);
void sim_flap(struct sim *sim, uint64_t number);
/* sim_fault_node.c: what a node has to find by itself */
void sim_fault_node(struct sim *sim, enum sim_fault_kind kind, uint32_t target, uint64_t lasts_us);
bool sim_wrong_any(const struct sim *sim);
bool sim_wrong_is(const struct sim *sim, const struct tables *tables);
/* It was made anew, and is wrong still. */
bool sim_wrong_for_good(const struct sim_member *member);
/* sim_mutant.c */
const char *sim_mutant_name(enum sim_mutant mutant);
void sim_mutant_swarm(struct sim *sim);

/* sim_figures.c: prints how fast worlds run. */
void sim_figures(struct sim *sim);
double sim_core_seconds(void);

/* --- sim_superuser.c -------------------------------------------------------------------------- */

void sim_superuser(struct sim *sim, struct sim_instance *instance);
void sim_superuser_look(struct sim *sim, struct sim_instance *instance, struct keeper_facts *facts);
void sim_superuser_found(struct sim *sim, struct sim_instance *instance);
void sim_superuser_confirmed(struct sim *sim, struct sim_instance *instance);
void sim_superuser_told(struct sim *sim,
                        const struct sim_member *member,
                        const struct sim_body *body,
                        uint32_t number);
void sim_superuser_check(struct sim *sim,
                         const struct sim_member *member,
                         const struct command *command,
                         const struct shard_view *view);
void sim_superuser_check_end(struct sim *sim);

/* --- sim_check.c ------------------------------------------------------------------------------ */

void sim_check_applied(struct sim *sim, struct sim_member *member, uint64_t index, uint64_t term);
void sim_check_disks(struct sim *sim, struct sim_member *member);
void sim_check_leader(struct sim *sim, const struct sim_member *member);
void sim_check_view(struct sim *sim, const struct shard_view *view);
void sim_check_proposal(struct sim *sim,
                        const struct sim_member *member,
                        const struct command *command);
void sim_check_promotion(struct sim *sim, struct sim_instance *instance);
void sim_check_ack(struct sim *sim,
                   struct sim_instance *instance,
                   const struct sim_write *write,
                   uint64_t number);
/* True when everything that must come back has come back. */
bool sim_check_live(struct sim *sim, char *missing, size_t size);
void sim_check_end(struct sim *sim);
/* What the leader knows of every shard, into the trace. */
void sim_trace_views(struct sim *sim);

#endif
