/* SPDX-License-Identifier: Apache-2.0 */
/* A node on a loop: node_uv.c (its life, clocks, timers), node_uv_log.c (the append thread),
 * node_uv_store.c (the store, the apply thread), node_uv_file.c (files). Each fills in its part of
 * struct node_io; the links to the others are peers/peers_uv.c. */
#ifndef INDABA_NODE_NODE_UV_H
#define INDABA_NODE_NODE_UV_H

#include "node/applier.h"
#include "node/node_io.h"
#include "peers/peers_uv.h"
#include "rpc/net.h"
#include "storage/member_dir.h"
#include "storage/space.h"
#include "storage/wal_writer.h"

#include <stdatomic.h>
#include <uv.h>

enum {
    NODE_UV_WRITE_TIMES = 256
};

/* When recent writes were handed over, for the histogram of their latency. */
struct node_uv_write_times {
    uint64_t seq[NODE_UV_WRITE_TIMES];
    uint64_t at_ns[NODE_UV_WRITE_TIMES];
    uint32_t next;
    uint64_t told_seq;
};

struct node_uv {
    struct node *node;
    struct node_options options;
    struct node_io io;
    struct node_paths paths;
    struct member_dir *dir;
    struct space *space;
    struct wal *wal; /* until the append thread has it */
    struct wal_writer *writer;
    struct store *store; /* until the apply thread has it */
    struct applier *applier;
    struct snapshot_dir snapshots;
    struct peers_uv *peers;

    struct net_sleeper ports;   /* what was posted at ports … */
    struct net_sleeper sleeper; /* … and flush of requests */
    uv_timer_t timer;           /* the core's next deadline */
    uv_timer_t tick;            /* the controller's, while leader */
    uv_async_t durable;         /* from the append thread */
    bool reading_store;         /* a thread does, for a snapshot, and posts `store_read` after it */
    uv_sem_t store_read;
    uint32_t handles_open;
    bool closing;

    _Atomic uint64_t durable_seq;
    struct node_uv_write_times write_times;
    char vouch_hint[TEXT_SIZE + CONFIG_PATH_SIZE];
};

/* One handle or work less holds the memory. */
void node_uv_release(struct node_uv *uv);
/* Ends the process after shutting every socket down. Any thread. */
__attribute__((noreturn)) void node_uv_die(const char *event, enum error error, const char *reason);

void node_uv_log_fill(struct node_io *io);
void node_uv_log_register_metrics(void);
MUST_CHECK enum error node_uv_log_start(struct node_uv *uv, struct reason *reason);
void node_uv_log_on_async(uv_async_t *async);

void node_uv_store_fill(struct node_io *io);
MUST_CHECK enum error node_uv_store_start(struct node_uv *uv, struct reason *reason);

void node_uv_file_fill(struct node_io *io);
/* Before the applier is stopped: no thread reads the store any more. */
void node_uv_file_stop(struct node_uv *uv);

#endif
