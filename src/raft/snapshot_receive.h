/* SPDX-License-Identifier: Apache-2.0 */
/* A follower takes a snapshot: chunks in order into a file under construction, then one install,
 * then the log begins anew behind it. A snapshot of what the log holds, or of less, is answered as
 * done and costs nothing. A transfer is resumed by whichever leader sends the same (index, term).
 */
#ifndef INDABA_RAFT_SNAPSHOT_RECEIVE_H
#define INDABA_RAFT_SNAPSHOT_RECEIVE_H

#include "raft/types.h"

struct raft;

enum {
    SNAPSHOT_WAITING_MAX = 16, /* chunks; more than a leader sends ahead */
};

struct snapshot_receive {
    uint64_t index; /* 0: none */
    uint64_t term;
    uint64_t size;                              /* 0: not known yet (found on disk at the start) */
    uint64_t leader_term;                       /* of the leader that sends it */
    struct raft_configuration configuration;    /* in force at `index` */
    uint64_t held;                              /* taken, from 0 on; <= size */
    uint64_t given;                             /* of that, handed out to be written */
    uint64_t written;                           /* of that, written */
    struct blob *waiting[SNAPSHOT_WAITING_MAX]; /* taken and not given: one write at a time */
    uint32_t waiting_count;
    bool installing;
};

void snapshot_receive_deinit(struct snapshot_receive *receiving);
void snapshot_receive_on_request(struct raft *raft, const struct raft_message *request);
/* Answers a leader of an older term, so that it learns of the new one. */
void snapshot_receive_refuse_stale(struct raft *raft, const struct raft_message *request);
void snapshot_receive_on_written(struct raft *raft, const struct raft_event *event);
void snapshot_receive_on_installed(struct raft *raft, const struct raft_event *event);
/* True from the order to install until its end: meanwhile nothing is appended or committed here,
 * for the log is about to be replaced. */
bool snapshot_receive_is_installing(const struct raft *raft);

#endif
