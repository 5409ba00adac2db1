/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a node, as its start finds it, and the apply thread that has it from then on. */
#include "node/node_uv.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>

static enum error settle_store(void *ctx, struct reason *reason);
static enum error clear_store(void *ctx, struct reason *reason);
static enum error install_store(void *ctx, const char *snapshot, struct reason *reason);
static enum error open_store(void *ctx, struct reason *reason, struct apply_position *position_out);
static enum error
read_position(struct store *store, struct reason *reason, struct apply_position *position_out);
static void close_store(void *ctx);
static void apply(void *ctx, const struct raft_entry *entries, uint32_t count);
static void query(void *ctx, applier_query_fn run, applier_done_fn done, void *query_ctx);
static void read_state(void *ctx);
static void end_read(void *ctx, void *reader);
static void install(void *ctx, const struct snapshot_info *info);
static void on_batch(const struct applier_batch *batch, void *ctx);
static void
on_reader(struct store_reader *reader, const struct apply_position *position, void *ctx);
static void
on_installed(enum error error, const char *why, const struct apply_position *position, void *ctx);
static uint64_t durable_index(void *ctx);
static void on_fatal(enum error error, const char *reason, void *ctx);

void node_uv_store_fill(struct node_io *io)
{
    io->ground.settle_store = settle_store;
    io->ground.clear_store = clear_store;
    io->ground.install_store = install_store;
    io->ground.open_store = open_store;
    io->ground.close_store = close_store;
    io->apply = apply;
    io->query = query;
    io->read = read_state;
    io->end_read = end_read;
    io->install = install;
}

enum error node_uv_store_start(struct node_uv *uv, struct reason *reason)
{
    const struct applier_options options = {
        .loop = net_loop(uv->options.net),
        .store = uv->store,
        .durable_index = durable_index,
        .on_batch = on_batch,
        .on_fatal = on_fatal,
        .ctx = uv,
    };
    enum error error = applier_start(&options, &uv->applier);
    if (error != ERR_OK) {
        return reason_set(reason, error, "no thread for the store can be started");
    }
    uv->store = NULL;
    return ERR_OK;
}

static enum error settle_store(void *ctx, struct reason *reason)
{
    const struct node_uv *uv = ctx;
    return store_settle(uv->paths.store, reason);
}

static enum error clear_store(void *ctx, struct reason *reason)
{
    const struct node_uv *uv = ctx;
    return store_clear(uv->paths.store, reason);
}

static enum error install_store(void *ctx, const char *snapshot, struct reason *reason)
{
    const struct node_uv *uv = ctx;
    struct snapshot_header header;
    return store_install(disk_real(), snapshot, uv->paths.store, reason, &header);
}

static enum error open_store(void *ctx, struct reason *reason, struct apply_position *position_out)
{
    struct node_uv *uv = ctx;
    const struct store_options options = {.path = uv->paths.store};
    struct apply_position position = {0};
    TRY(store_open(&options, reason, &uv->store));
    if (store_committed_index(uv->store) != 0) {
        TRY(read_position(uv->store, reason, &position));
    }
    *position_out = position;
    return ERR_OK;
}

static enum error
read_position(struct store *store, struct reason *reason, struct apply_position *position_out)
{
    enum error error = store_begin(store, clock_monotonic_ms());
    if (error != ERR_OK) {
        *reason = *store_reason(store);
        return error;
    }
    apply_position(store_tables(store), position_out);
    store_abort(store);
    if (position_out->index != store_committed_index(store)) {
        return reason_set(reason,
                          ERR_CORRUPT,
                          "the store says that it holds the state at index %" PRIu64
                          ", its tables are at %" PRIu64
                          ": remove both its files and start again, the state is rebuilt from "
                          "snapshot and log",
                          store_committed_index(store),
                          position_out->index);
    }
    return ERR_OK;
}

static void close_store(void *ctx)
{
    struct node_uv *uv = ctx;
    store_close(uv->store);
    uv->store = NULL;
}

static void apply(void *ctx, const struct raft_entry *entries, uint32_t count)
{
    const struct node_uv *uv = ctx;
    applier_apply(uv->applier, entries, count);
}

static void query(void *ctx, applier_query_fn run, applier_done_fn done, void *query_ctx)
{
    const struct node_uv *uv = ctx;
    applier_query(uv->applier, run, done, query_ctx);
}

static void read_state(void *ctx)
{
    struct node_uv *uv = ctx;
    applier_read(uv->applier, on_reader, uv);
}

static void end_read(void *ctx, void *reader)
{
    (void)ctx;
    store_reader_end(reader);
}

static void install(void *ctx, const struct snapshot_info *info)
{
    struct node_uv *uv = ctx;
    const struct applier_install request = {
        .snapshots = &uv->snapshots,
        .info = *info,
        .cluster = uv->options.config->cluster,
        .store_path = uv->paths.store,
    };
    applier_install(uv->applier, &request, on_installed, uv);
}

static void on_batch(const struct applier_batch *batch, void *ctx)
{
    const struct node_uv *uv = ctx;
    if (!uv->closing) {
        node_applied(uv->node, batch);
    }
}

static void on_reader(struct store_reader *reader, const struct apply_position *position, void *ctx)
{
    const struct node_uv *uv = ctx;
    if (uv->closing) {
        store_reader_end(reader);
    } else {
        node_read_began(uv->node, reader, position);
    }
}

static void
on_installed(enum error error, const char *why, const struct apply_position *position, void *ctx)
{
    const struct node_uv *uv = ctx;
    if (!uv->closing) {
        node_installed(uv->node, error, why, position);
    }
}

/* On the apply thread. */
static uint64_t durable_index(void *ctx)
{
    const struct node_uv *uv = ctx;
    return wal_writer_durable_index(uv->writer);
}

/* On the apply thread. */
static void on_fatal(enum error error, const char *reason, void *ctx)
{
    (void)ctx;
    node_uv_die("store.failed", error, reason);
}
