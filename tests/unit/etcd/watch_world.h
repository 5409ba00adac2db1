/* SPDX-License-Identifier: Apache-2.0 */
/* The hub of watches with everything around it played by the test: a store in memory, an apply
 * thread that visits it when the test says so, and clients' streams that take in what was sent when
 * the test says so. Requests and responses are etcd's own messages. */
#ifndef INDABA_TESTS_WATCH_WORLD_H
#define INDABA_TESTS_WATCH_WORLD_H

#include "etcd/watch/etcd_watch.h"
#include "state/tables_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    WORLD_MESSAGES_MAX = 4096,
    WORLD_QUEUE_BYTES_MAX = 8 * 1024 * 1024 /* of server_options, by default */
};

/* A client's stream. */
struct listener {
    struct watch_stream *stream;         /* NULL: over */
    struct buf sent[WORLD_MESSAGES_MAX]; /* all that it was ever sent */
    uint32_t sent_count;
    size_t queued; /* bytes that it has not taken in */
    size_t exempt; /* of them, what does not count for those behind it */
    size_t taken;  /* by other streams of its connection */
    bool eager;    /* takes in everything before the sender has it off his hands */
    bool over;
    enum etcd_error error; /* it ended with */
};

struct world {
    struct tables_memory *memory;
    struct tables tables;
    uint64_t index;
    struct buf batch; /* operations of the next entry */
    struct etcd etcd;
    node_port_query_fn run; /* what waits for the apply thread; NULL: nothing */
    void *query_ctx;
    struct node_port_ticket ticket;
};

/* What one response says. */
struct heard {
    int64_t id;
    int64_t revision; /* of the header */
    int64_t compacted;
    bool created;
    bool canceled;
    bool fragment;
    uint32_t events;
    int64_t first_revision; /* of its events */
    int64_t last_revision;
    char reason[128];
};

struct world *world_new(void);
/* Ends the streams that are left. */
void world_free(struct world *world);

/* Adds to the next entry; world_apply applies it and tells the hub. */
void world_add(struct world *world, const struct kv_op *op);
void world_apply(struct world *world);
/* The same for one operation. */
void world_put(struct world *world, const char *key, struct slice value);
void world_compact(struct world *world, int64_t revision);
/* The apply thread visits the store once; false if nothing waited for that. */
bool world_visit(struct world *world);
/* Until nothing waits. */
void world_settle(struct world *world);

struct listener *world_open(struct world *world);
void world_close(struct listener *call);
/* The client has taken in everything. */
void world_drain(struct listener *call);
/* It takes in all that comes, in pieces, until nothing comes any more. */
void world_catch_up(struct world *world, struct listener *call);
void world_watch(struct world *world,
                 struct listener *call,
                 const Etcdserverpb__WatchCreateRequest *request);
/* From `revision` on (0: from now), all keys. */
Etcdserverpb__WatchCreateRequest world_all_keys(int64_t revision);
void world_watch_all(struct world *world, struct listener *call, int64_t revision);
void world_ask_progress(struct world *world, struct listener *call);
void world_cancel(struct world *world, struct listener *call, int64_t id);
struct heard world_heard(const struct listener *call, uint32_t at);
/* Fails unless watcher `id` was sent each revision in [first, last] once, in order, in the messages
 * from `from` on. */
void world_assert_heard(
    const struct listener *call, uint32_t from, int64_t id, int64_t first, int64_t last);

#endif
