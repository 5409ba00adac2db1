/* SPDX-License-Identifier: Apache-2.0 */
/* One core on a bench: the test plays its disk, its clock and all its peers. The core is member 1;
 * the others are 2, 3 … Timers are 50 ms (heartbeat) and 500 ms (election). */
#ifndef INDABA_TESTS_UNIT_RAFT_CORE_BENCH_H
#define INDABA_TESTS_UNIT_RAFT_CORE_BENCH_H

#include "raft/raft.h"

struct core_bench {
    struct raft *raft;
    struct raft_update update; /* of the latest step; its arrays hold until the next */
    uint64_t now_ms;
    uint64_t seq_issued; /* the latest write */
};

struct core_bench_options {
    uint32_t members;
    uint64_t term;         /* of the recovered hard state */
    uint32_t vote;         /* member voted for in it, 0: none */
    const uint64_t *terms; /* one per recovered entry, from index 1 */
    uint32_t entries_count;
    uint64_t first_index;    /* of the recovered entries; 0: 1 */
    uint64_t snapshot_index; /* recovered, with a file of 100 bytes; 0: none */
    uint64_t snapshot_term;
    uint64_t partial_bytes; /* of a snapshot at snapshot_index + 100, term 1 */
    uint32_t log_tail_entries;
    uint32_t log_tail_bytes;
    uint32_t snapshot_chunk_bytes;
    uint64_t snapshot_bytes_per_s;
    uint32_t inflight_messages_max;
    uint32_t append_bytes_max;
    uint32_t uncommitted_bytes_max;
    uint32_t rank;
    const struct raft_configuration *configuration; /* instead of `members` voters */
};

struct core_bench *core_bench_new(const struct core_bench_options *options);
void core_bench_free(struct core_bench *bench);

void core_bench_step(struct core_bench *bench, struct raft_event event);
/* Lets `ms` pass in one step. */
void core_bench_tick(struct core_bench *bench, uint64_t ms);
/* Ticks at the core's own deadline, once. */
void core_bench_timeout(struct core_bench *bench);
void core_bench_persist(struct core_bench *bench, uint64_t seq);
/* Everything written so far is durable. */
void core_bench_persist_all(struct core_bench *bench);
/* Fills from, to; the union is the caller's. */
struct raft_message core_bench_from(uint32_t member, enum raft_message_type type, uint64_t term);
void core_bench_receive(struct core_bench *bench, struct raft_message message);

/* Ready-made messages. */
void core_bench_vote_result(struct core_bench *bench, uint32_t from, bool pre_vote, bool granted);
void core_bench_ask_vote(struct core_bench *bench,
                         uint32_t from,
                         uint64_t term,
                         struct raft_request_vote asked);

/* An append of `count` commands, all of entry term `entry_term`. */
struct core_bench_append {
    uint32_t from;
    uint64_t term;
    uint64_t prev_index;
    uint64_t prev_term;
    uint64_t commit;
    uint64_t entry_term;
    uint32_t count;
};

void core_bench_append(struct core_bench *bench, struct core_bench_append append);
void core_bench_ack(struct core_bench *bench, uint32_t from, uint64_t index);
void core_bench_refuse(struct core_bench *bench, uint32_t from, struct raft_append_result refusal);
void core_bench_heartbeat_result(struct core_bench *bench, uint32_t from, uint64_t probe);
enum error core_bench_propose(struct core_bench *bench, const char *text, uint32_t count);
/* Through pre-vote and vote to office; its writes are durable, nobody has acknowledged any. */
void core_bench_elect(struct core_bench *bench);

/* The latest step's n-th message (from 0) of that type to that member; NULL if there is none. */
const struct raft_message *core_bench_sent(const struct core_bench *bench,
                                           enum raft_message_type type,
                                           uint32_t to,
                                           uint32_t n);
uint32_t core_bench_sent_count(const struct core_bench *bench, enum raft_message_type type);
struct raft_status core_bench_status(const struct core_bench *bench);
struct member_id core_bench_member(uint32_t member);

#endif
