/* SPDX-License-Identifier: Apache-2.0 */
/* A core on the bench that is sent snapshots, or that leads and sends one: what the other side and
 * the file do to it. */
#ifndef INDABA_TESTS_UNIT_RAFT_SNAPSHOT_BENCH_H
#define INDABA_TESTS_UNIT_RAFT_SNAPSHOT_BENCH_H

#include "core_bench.h"

enum {
    SNAPSHOT_BENCH_SIZE = 30,       /* bytes of every snapshot that it is sent */
    SNAPSHOT_BENCH_FILE_SIZE = 100, /* of those that it sends */
    SNAPSHOT_BENCH_CHUNK = 10,
};

/* Three members in term 1, without entries and with three of them. */
extern const struct core_bench_options snapshot_bench_three;
extern const struct core_bench_options snapshot_bench_three_entries;
/* Of one that leads: a tail of two entries. */
extern const struct core_bench_options snapshot_bench_leads;

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

/* A leader of term 1 with entries 1..20, of which peer 3 has none, and a snapshot at 20. */
struct core_bench *snapshot_bench_leader(const struct core_bench_options *given);
/* It has applied up to there, and has a snapshot of it. */
void snapshot_bench_take(struct core_bench *bench, uint64_t index, uint64_t size);
/* Peer 3 says that it has nothing: what it needs is gone. */
void snapshot_bench_refuse_all(struct core_bench *bench);
/* Peer 3 says how far it is with a snapshot. */
void snapshot_bench_tell(struct core_bench *bench, uint64_t index, uint64_t offset, bool done);
/* Time passes; both peers are heard. */
void snapshot_bench_keep_alive(struct core_bench *bench, uint64_t ms);

#endif
