/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed draws before its world begins: how large, how far apart, how its members keep their
 * logs, and which kinds of faults it has, how often. */
#ifndef INDABA_TESTS_SIM_SIM_SWARM_H
#define INDABA_TESTS_SIM_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

/* Kinds of faults; each seed draws which it has (sim_fault.c). */
enum sim_fault_kind {
    FAULT_MEMBER_CRASH,
    FAULT_MEMBER_PAUSE,
    FAULT_LINK_CUT,
    FAULT_NODE_CUT,
    FAULT_REGION_CUT,
    FAULT_CAR_CRASH,
    FAULT_CAR_PAUSE,
    FAULT_CAR_DISK, /* the disk of its state folder hangs */
    FAULT_DB_CRASH,
    FAULT_POSTMASTER_KILLED,
    FAULT_DB_HUNG,
    FAULT_PROMOTION, /* whenever it is promoted, the database dies */
    FAULT_INSTANCE_KILLED,
    FAULT_MACHINE_OFF,
    FAULT_MACHINE_PAUSE,
    FAULT_REGION_OFF,
    FAULT_OPERATOR,
    FAULT_SUPERUSER,     /* empties the sync names of a primary, and reloads */
    FAULT_FOLDER_OLDER,  /* the data folder, as it was some seconds ago */
    FAULT_MACHINE_OLDER, /* … and the state folder with it */
    FAULT_BY_HAND,       /* a standby's folder is run writable, without its sidecar */
    FAULT_LINK_FLAPS,    /* one direction of it, on and off */
    FAULT_DISK_SLOW,
    FAULT_DISK_SYNC, /* the next sync fails */
    FAULT_DISK_FULL,
    FAULT_DISK_ROT,    /* power is lost, and a byte of the log is damaged */
    FAULT_CLOCK_JUMPS, /* a member's clock, ahead */
    FAULT_TRANSFER,    /* leadership is handed over */
    FAULT_STRANGER,    /* somebody who is no member, or none any more, speaks to one */
    FAULT_STATE_WRONG, /* a member's state is not that of the others any more */
    FAULT_DISK_HANGS,  /* no write comes to an end */
    FAULT_APPLY_SLOW,  /* the apply thread is behind */
    FAULT_COUNT
};

struct sim_swarm {
    uint32_t members;
    uint32_t shards;
    uint32_t instances_per_shard;
    uint64_t delay_min_us;
    uint64_t delay_max_us;
    uint64_t duration_us;
    bool async;
    bool clock_rates;
    bool clock_stands;
    uint32_t loss_permille;
    uint32_t duplicate_permille;
    uint32_t two_copies_permille; /* of the sync shards ask for W = 2 */
    uint32_t founders;            /* the other members wait to be added */
    bool changes;                 /* an operator adds, removes and replaces members */
    uint32_t snapshot_every;      /* entries; 0: never */
    uint32_t log_tail_entries;
    uint32_t bad_reads_permille; /* of snapshots: they fail, or do not find the file */
    uint32_t fault_weights[FAULT_COUNT];
    uint64_t fault_gap_us;
    /* Of measured worlds (sim_figures.c), 0 elsewhere. */
    uint64_t measured_us; /* so long, without faults, clients and sidecars */
    uint64_t load_us;     /* a command every so often; 0: none */
};

#endif
