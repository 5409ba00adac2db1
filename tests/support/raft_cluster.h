/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster of consensus cores in one thread and virtual milliseconds: links and disks from sim_net
 * and sim_disk, crashes, pauses, evidence of death, and the oracle watching every step. The cores
 * are the objects of production. Nodes are numbered from 1; node n is member {0, n}. */
#ifndef INDABA_TESTS_SUPPORT_RAFT_CLUSTER_H
#define INDABA_TESTS_SUPPORT_RAFT_CLUSTER_H

#include "tests/support/raft_oracle.h"
#include "tests/support/sim_disk.h"
#include "tests/support/sim_net.h"
#include "tests/support/sim_queue.h"

struct raft_cluster_options {
    uint32_t nodes;
    uint32_t voters;   /* the others are learners; 0: all vote */
    uint32_t founders; /* members from the start; the others can be added; 0: all */
    uint32_t regions;  /* node n is in region (n - 1) % regions + 1; 0: none has a region */
    uint64_t seed;
    struct sim_link link;
    uint64_t disk_min_ms;
    uint64_t disk_max_ms;
    uint32_t heartbeat_ms; /* 0: the core's default, as below */
    uint32_t election_ms;
    uint32_t inflight_messages_max;
    uint32_t append_bytes_max;
    uint32_t log_tail_entries;
    uint32_t log_tail_bytes;
    uint32_t snapshot_chunk_bytes; /* files have 400 bytes; 0: 64 */
    uint64_t snapshot_bytes_per_s;
    uint32_t bad_files_permille; /* snapshots that do not verify after the transfer */
    uint32_t bad_reads_permille; /* reads of them that fail; the file is sound */
    uint32_t evidence_ms;        /* survivors learn of a crash after this time; 0: never */
    bool torn_crashes;           /* a crash keeps a random prefix of what was under way */
    bool trace;                  /* transitions */
    bool trace_messages;
};

struct raft_cluster_read {
    uint64_t id;
    uint64_t committed_before;
    uint32_t node;
    uint32_t life;
};

struct raft_cluster_node {
    struct raft *raft; /* NULL while it is down */
    struct sim_disk disk;
    uint32_t life; /* grows with each start: what an earlier life was to receive is lost */
    uint64_t deadline_ms;
    uint64_t paused_until_ms;
    uint64_t commit;
    uint64_t completed;       /* the latest write told as durable */
    uint64_t snapshot_before; /* index of the file before disk.snapshot, still there */
    uint64_t file_busy_ms;
    struct buf partial; /* the file under construction */
    uint64_t partial_index;
    uint64_t partial_term;
    struct raft_snapshot_install installing;
    struct raft_update update;               /* scalars of the latest step */
    struct raft_configuration configuration; /* in force after it, and before it was appended */
    struct raft_configuration configuration_before;
};

struct raft_cluster {
    struct raft_cluster_options options;
    struct raft_configuration founding;
    struct sim_queue queue;
    struct sim_net net;
    struct raft_oracle oracle;
    struct raft_cluster_node nodes[SIM_NODES_MAX + 1];
    uint64_t now_ms;
    struct raft_cluster_read *reads; /* unanswered */
    uint32_t reads_count;
    uint32_t reads_cap;
    uint64_t read_id_next;
    uint64_t reads_confirmed;
    uint64_t reads_refused;
    uint64_t steps;
    uint64_t installs;
    struct buf trace;
    uint32_t stepping; /* the node whose core runs, for its trace */
};

struct raft_cluster *raft_cluster_new(const struct raft_cluster_options *options);
void raft_cluster_free(struct raft_cluster *cluster);

/* Runs `ms` of virtual time. */
void raft_cluster_run(struct raft_cluster *cluster, uint64_t ms);
/* Runs until the condition holds, looked at after each event; false if `ms` pass without. */
bool raft_cluster_run_until(struct raft_cluster *cluster,
                            bool (*condition)(struct raft_cluster *cluster),
                            uint64_t ms);

void raft_cluster_crash(struct raft_cluster *cluster, uint32_t node);
void raft_cluster_start(struct raft_cluster *cluster, uint32_t node);
/* The process stands still (SIGSTOP) for `ms`; what arrives waits. */
void raft_cluster_pause(struct raft_cluster *cluster, uint32_t node, uint64_t ms);
/* Cuts a node off from all others, both ways. */
void raft_cluster_isolate(struct raft_cluster *cluster, uint32_t node);
void raft_cluster_heal(struct raft_cluster *cluster);

/* Steps one core with an event of the caller's making (its time is set here). */
void raft_cluster_step(struct raft_cluster *cluster, uint32_t node, struct raft_event event);
/* Proposes `count` commands "text", "text+1" …; the core's answer. */
enum error
raft_cluster_propose(struct raft_cluster *cluster, uint32_t node, const char *text, uint32_t count);
void raft_cluster_read(struct raft_cluster *cluster, uint32_t node);
void raft_cluster_transfer(struct raft_cluster *cluster, uint32_t from, uint32_t to);
void raft_cluster_evidence(struct raft_cluster *cluster, uint32_t node, uint32_t dead, bool stands);

/* Takes a snapshot of all that is committed there; false if that is nothing new. */
bool raft_cluster_snapshot(struct raft_cluster *cluster, uint32_t node);
/* Asks a node for a change, once; the core's answer. */
enum raft_change_refusal raft_cluster_ask_change(struct raft_cluster *cluster,
                                                 uint32_t node,
                                                 const struct raft_configuration *target);
/* And again while the disks are being asked; time passes meanwhile. */
enum raft_change_refusal raft_cluster_change(struct raft_cluster *cluster,
                                             uint32_t node,
                                             const struct raft_configuration *target);
/* The configuration in force at the leader, to be edited: a node's place in it, NULL if it is none
 * of its servers. */
struct raft_configuration raft_cluster_configuration(const struct raft_cluster *cluster);
struct raft_server *raft_cluster_server(struct raft_configuration *configuration, uint32_t node);
/* Adds, or removes, a node in a configuration. */
void raft_cluster_add(const struct raft_cluster *cluster,
                      struct raft_configuration *configuration,
                      uint32_t node,
                      bool promote);
void raft_cluster_remove(struct raft_configuration *configuration, uint32_t node);

/* The leader of the highest term among the living, 0 if none. */
uint32_t raft_cluster_leader(const struct raft_cluster *cluster);
/* True if one leader is followed by every living node of its configuration, which is committed and
 * not joint. */
bool raft_cluster_is_settled(struct raft_cluster *cluster);
/* True if settled and every such node has committed and made durable the whole log. */
bool raft_cluster_is_level(struct raft_cluster *cluster);
struct raft_status raft_cluster_status(const struct raft_cluster *cluster, uint32_t node);
struct member_id raft_cluster_member(uint32_t node);
/* Compares all logs pair by pair. */
void raft_cluster_match_logs(const struct raft_cluster *cluster);

/* A line of the script's own in the trace. */
__attribute__((format(printf, 2, 3))) void
raft_cluster_note(struct raft_cluster *cluster, const char *format, ...);

#endif
