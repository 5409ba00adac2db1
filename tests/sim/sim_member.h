/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator of the simulated world: the node of production, and what stands around it. Plain
 * data; sim_world.h says who changes what. */
#ifndef INDABA_TESTS_SIM_SIM_MEMBER_H
#define INDABA_TESTS_SIM_SIM_MEMBER_H

#include "node/node_io.h"
#include "node/node_port.h"
#include "state/tables_memory.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_store.h"

#include <sys/queue.h>

struct sim;

enum {
    SIM_MEMBERS_MAX = 5,
};

struct sim_session {
    uint64_t id;
    uint32_t stream;
    uint64_t heard_us;
};

enum {
    SIM_SESSIONS_MAX = 64,
};

/* What waits for a member's apply thread. */
struct sim_job {
    STAILQ_ENTRY(sim_job) others;

    enum {
        JOB_ENTRIES,
        JOB_QUERY,
        JOB_READ
    } kind;

    struct raft_entry *entries; /* owned, with their payloads */
    uint32_t count;
    applier_query_fn run;
    applier_done_fn done;
    void *ctx;
};

struct sim_member {
    struct sim *sim;
    uint32_t node;
    struct member_id id; /* lo: node | incarnation << 8 */
    uint32_t incarnation;
    bool founder;
    bool rotten; /* it will not start any more: to be replaced */
    uint32_t region;
    bool up;
    bool paused;
    bool silent; /* while it is down: its machine answers nobody */
    bool dying;  /* the core wants to end, and is not called any more */
    uint64_t generation;
    struct node *core; /* that of production; NULL while it is down */
    struct node_io io;
    struct node_paths paths;
    struct member_config config;
    struct sim_store store;
    bool wrong; /* its state is not that of the others */
    bool apply_slow;
    uint64_t apply_busy_us;              /* its apply thread works until then */
    uint64_t disk_hangs_until_us;        /* no write ends before */
    uint64_t disk_hangs_since_us;        /* sim_check_disks.c */
    uint64_t change_seen;                /* the same: the latest configuration of its office */
    uint64_t disk_done_seq;              /* of this generation: completions come in order */
    struct tables_memory *tables_memory; /* kept by a member that was killed, not lost power */
    struct tables tables;
    STAILQ_HEAD(sim_job_list, sim_job) jobs;
    uint64_t file_busy_us;
    uint64_t deadline_us; /* the core's */
    uint64_t timer_at_us; /* the event that is there for it; UINT64_MAX: none */
    /* As the core had it last. */
    uint64_t applied;
    uint64_t term;
    enum raft_role role;
    struct member_id leader;
    bool elected; /* in office */

    struct node_port *port; /* for those who serve clients */
    struct node_port_observer observer;
    struct node_port_applied told;
    struct sim_waits waits;
    uint64_t session_last;
    struct sim_session sessions[SIM_SESSIONS_MAX];
    uint32_t sessions_count;
    uint64_t found_at_us;
};

#endif
