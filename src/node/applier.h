/* SPDX-License-Identifier: Apache-2.0 */
/* The apply thread: takes committed entries in order, decodes and applies them to the store inside
 * one open transaction, and posts back what came of them. Queries run on the same thread between
 * batches, inside that transaction, so that a query queued after entries sees them.
 *
 * Called from the loop thread only; callbacks run on the loop thread. Failures of the store, and
 * entries of a version that this program does not know, have no way back: `on_fatal` is called on
 * the apply thread and must end the process. */
#ifndef INDABA_NODE_APPLIER_H
#define INDABA_NODE_APPLIER_H

#include "node/applier_batch.h"
#include "storage/snapshot_dir.h"
#include "storage/store_copy.h"

struct applier;
struct uv_loop_s;

struct applier_options {
    struct uv_loop_s *loop;
    struct store *store; /* taken: used by the apply thread alone, closed by applier_stop */
    /* Last index durable in the local log; called on the apply thread. */
    uint64_t (*durable_index)(void *ctx);
    void (*on_batch)(const struct applier_batch *batch, void *ctx);
    void (*on_fatal)(enum error error, const char *reason, void *ctx);
    void *ctx;
};

/* ERR_SYSTEM if there can be no thread; the store is then still the caller's. */
MUST_CHECK enum error applier_start(const struct applier_options *options,
                                    struct applier **applier_out);

/* Queues entries, at most APPLIER_BATCH_MAX; takes payload references of its own. */
void applier_apply(struct applier *applier, const struct raft_entry *entries, uint32_t count);

/* `run` is called on the apply thread with the tables of everything queued before, `done` then on
 * the loop thread. */
void applier_query(struct applier *applier, applier_query_fn run, applier_done_fn done, void *ctx);

/* Makes the store durable with all that was queued before, and gives a reader of that state to
 * `done` on the loop thread; the caller ends it, before applier_stop and applier_install. */
typedef void (*applier_read_fn)(struct store_reader *reader,
                                const struct apply_position *position,
                                void *ctx);
void applier_read(struct applier *applier, applier_read_fn done, void *ctx);

/* Makes the received snapshot the content of the store, after all that was queued before. On an
 * error the store is what it was; `why` holds during the callback. No reader may be open. Strings
 * are borrowed until `done`. */
struct applier_install {
    const struct snapshot_dir *snapshots;
    struct snapshot_info info;
    struct cluster_id cluster;
    const char *store_path;
};

typedef void (*applier_installed_fn)(enum error error,
                                     const char *why,
                                     const struct apply_position *position,
                                     void *ctx);
void applier_install(struct applier *applier,
                     const struct applier_install *install,
                     applier_installed_fn done,
                     void *ctx);

/* Finishes what is queued, makes the store durable, ends the thread, closes the store; pending
 * callbacks do not come any more. Its handle closes in the loop's next turn. */
void applier_stop(struct applier *applier);

#endif
