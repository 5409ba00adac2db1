/* SPDX-License-Identifier: Apache-2.0 */
/* What a leader that sends snapshots, and a member's file of one, do to a core on the bench. */
#ifndef INDABA_TESTS_UNIT_RAFT_SNAPSHOT_BENCH_H
#define INDABA_TESTS_UNIT_RAFT_SNAPSHOT_BENCH_H

#include "core_bench.h"

enum {
    SNAPSHOT_BENCH_SIZE = 30, /* bytes of every snapshot */
    SNAPSHOT_BENCH_CHUNK = 10,
};

/* Three members in term 1, without entries and with three of them. */
extern const struct core_bench_options snapshot_bench_three;
extern const struct core_bench_options snapshot_bench_three_entries;

struct snapshot_bench_sent {
    uint32_t from;
    uint64_t term;
    uint64_t index;
    uint64_t offset;
};

/* A chunk of a snapshot of entry term 1 whose configuration has the members 1 to 4. */
struct raft_message snapshot_bench_message(struct snapshot_bench_sent sent, struct blob *chunk);
void snapshot_bench_send(struct core_bench *bench, struct snapshot_bench_sent sent);
/* The write that ends at `offset` has ended; the install has. */
void snapshot_bench_written(struct core_bench *bench,
                            uint64_t index,
                            uint64_t offset,
                            enum error error);
void snapshot_bench_installed(struct core_bench *bench, uint64_t index, enum error error);
/* The whole file, from member 2, each chunk written before the next one comes. */
void snapshot_bench_send_all(struct core_bench *bench, uint64_t term, uint64_t index);
/* What the latest step answered member 2. */
const struct raft_install_snapshot_result *snapshot_bench_told(const struct core_bench *bench);

#endif
