/* SPDX-License-Identifier: Apache-2.0 */
/* A member's disk: the write-ahead log and the snapshots of production (storage/wal.h,
 * snapshot_dir.h) on a disk in memory (tests/support/fault_disk.h). What Raft wants written waits
 * for its virtual time and is then appended and synced; a crash loses what waits, or tears the
 * append that was under way. The state's tables survive a kill, not a loss of power. */
#ifndef INDABA_TESTS_SIM_SIM_STORE_H
#define INDABA_TESTS_SIM_SIM_STORE_H

#include "base/prng.h"
#include "base/reason.h"
#include "raft/raft.h"
#include "storage/snapshot_dir.h"
#include "storage/wal.h"
#include "tests/support/fault_disk.h"

struct sim_store {
    struct prng prng;
    uint64_t delay_min_us;
    uint64_t delay_max_us;
    uint32_t slow; /* times as slow as usual; 1: not */
    bool lies;     /* a deliberate bug: mostly it says that it has written, and writes later */
    /* One flush at a time; what comes meanwhile goes together into the next. */
    uint64_t flushing_until_us;
    uint64_t queued_until_us;

    struct cluster_id cluster;
    struct member_id member;
    struct fault_disk *fault;
    struct wal *wal;
    struct snapshot_dir snapshots;
    uint64_t cut_index; /* entries up to here may go … */
    uint64_t cut_done;  /* … and have gone */

    bool rotten;
    bool was_rotten;            /* since it was formatted */
    uint64_t rotten_last_index; /* of the log before it was damaged */
    struct raft_hard_state rotten_hard_state;

    struct raft_write *writes; /* not on the disk yet, oldest first */
    uint32_t writes_count;
    uint32_t writes_cap;
};

/* An empty disk for this member; anything before is gone. */
void sim_store_format(struct sim_store *store,
                      struct cluster_id cluster,
                      struct member_id member,
                      uint64_t seed,
                      bool lies);
void sim_store_deinit(struct sim_store *store);

/* As a member starts: its log. An error is a refusal to start, with its reason. */
MUST_CHECK enum error
sim_store_open(struct sim_store *store, struct reason *reason, struct wal_recovered *log_out);
/* It does not start, though there is a log. */
void sim_store_close(struct sim_store *store);
/* Takes a copy of the write; returns when it will be complete. */
uint64_t sim_store_write(struct sim_store *store, const struct raft_write *write, uint64_t now_us);
/* Its time has come: the write `seq` and all before it are appended and synced. An error is the end
 * of the member. */
MUST_CHECK enum error
sim_store_complete(struct sim_store *store, uint64_t seq, struct reason *reason);
/* The process ends. With `power` lost, what was not synced is lost, kept or torn; otherwise the
 * operating system keeps it. With `torn` an append was under way. */
void sim_store_crash(struct sim_store *store, bool power, bool torn);
/* Damages a byte of the log that is on the disk, of a member that is down. What was durable before
 * is remembered: rot of the very last batch cannot be told from an unfinished write, so the next
 * open counts a log that has become shorter as ERR_CORRUPT although the log itself does not. */
void sim_store_rot(struct sim_store *store);

/* Entries up to `index` may go, once what is being written is written. */
void sim_store_cut(struct sim_store *store, uint64_t index);

#endif
