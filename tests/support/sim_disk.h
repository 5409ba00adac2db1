/* SPDX-License-Identifier: Apache-2.0 */
/* The disk of one simulated member as the consensus core sees it: writes complete in order, after a
 * while; a crash loses what was not complete, or keeps any prefix of it, torn anywhere. */
#ifndef INDABA_TESTS_SUPPORT_SIM_DISK_H
#define INDABA_TESTS_SUPPORT_SIM_DISK_H

#include "base/prng.h"
#include "raft/raft.h"

struct sim_disk {
    struct prng prng;
    uint64_t delay_min;
    uint64_t delay_max;
    /* One flush at a time; what comes meanwhile goes together into the next. */
    uint64_t flushing_until;
    uint64_t queued_until;

    /* On the platter. */
    struct raft_hard_state hard_state;
    uint64_t base;              /* the index before the first entry */
    struct raft_entry *entries; /* contiguous from base + 1 */
    uint64_t count;
    uint64_t cap;

    struct raft_snapshot snapshot; /* durable, and what recovery begins with; index 0: none */
    struct raft_configuration snapshot_configuration;

    /* Under way, oldest first. */
    struct raft_write *writes;
    uint32_t writes_count;
    uint32_t writes_cap;
};

void sim_disk_init(struct sim_disk *disk, uint64_t seed, uint64_t delay_min, uint64_t delay_max);
void sim_disk_deinit(struct sim_disk *disk);
/* Takes a copy of the write; returns when it will be complete. */
uint64_t sim_disk_write(struct sim_disk *disk, const struct raft_write *write, uint64_t now);
/* A flush hangs: what is written from now on is complete after `ms` at the earliest. */
void sim_disk_stall(struct sim_disk *disk, uint64_t now, uint64_t ms);
/* The write `seq` and all before it are complete. */
void sim_disk_complete(struct sim_disk *disk, uint64_t seq);
/* Power is lost: with `torn` a random prefix of what was under way got through, else nothing. */
void sim_disk_crash(struct sim_disk *disk, bool torn);
/* What recovery finds; borrowed until the disk changes. */
struct raft_recovered sim_disk_recover(const struct sim_disk *disk,
                                       const struct raft_configuration *founding);
/* A snapshot is durable, at once. */
void sim_disk_keep_snapshot(struct sim_disk *disk,
                            struct raft_snapshot snapshot,
                            const struct raft_configuration *configuration);
/* Drops entries up to `index` from the platter. */
void sim_disk_cut(struct sim_disk *disk, uint64_t index);
/* True if entry `index` with that term is on the platter, or in the snapshot. */
bool sim_disk_has(const struct sim_disk *disk, uint64_t index, uint64_t term);

#endif
