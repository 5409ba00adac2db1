/* SPDX-License-Identifier: Apache-2.0 */
/* The append thread of a node, and its disk: writes go there in order, and what is durable comes
 * back through uv_async as the highest seq. */
#include "node/node_uv.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/metrics.h"

static struct metric durable_seconds = {
    .name = "indaba_wal_durable_seconds",
    .help = "From handing a write to the append thread until it is known durable.",
    .kind = METRIC_HISTOGRAM,
    .bounds = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5},
    .bounds_count = 13,
};

static enum error open_log(void *ctx, struct reason *reason, struct wal_recovered *log_out);
static enum error submit_write(void *ctx, const struct raft_write *write);
static bool log_has_room(void *ctx);
static void cut_log(void *ctx, uint64_t index);
static void probe_disk(void *ctx);
static void look_at_disk(void *ctx, struct node_disk_look *look_out);
static void on_durable(uint64_t seq, uint64_t durable_index, void *ctx);
static void on_fatal(enum error error, const struct reason *reason, void *ctx);
static void note_submitted(struct node_uv_write_times *times, uint64_t seq);
static void observe_durable(struct node_uv_write_times *times, uint64_t to_seq);

void node_uv_log_register_metrics(void)
{
    metric_register(&durable_seconds);
}

void node_uv_log_fill(struct node_io *io)
{
    io->ground.open_log = open_log;
    io->submit_write = submit_write;
    io->log_has_room = log_has_room;
    io->cut_log = cut_log;
    io->probe_disk = probe_disk;
    io->look_at_disk = look_at_disk;
}

enum error node_uv_log_start(struct node_uv *uv, struct reason *reason)
{
    const struct wal_writer_options options = {
        .wal = uv->wal,
        .space = uv->space,
        .on_durable = on_durable,
        .on_fatal = on_fatal,
        .ctx = uv,
    };
    enum error error = wal_writer_start(&options, &uv->writer);
    if (error != ERR_OK) {
        return reason_set(reason, error, "no thread for the log can be started");
    }
    uv->wal = NULL;
    return ERR_OK;
}

void node_uv_log_on_async(uv_async_t *async)
{
    struct node_uv *uv = async->data;
    if (uv->closing) {
        return;
    }
    uint64_t seq = atomic_load(&uv->durable_seq);
    observe_durable(&uv->write_times, seq);
    node_persisted(uv->node, seq);
}

static enum error open_log(void *ctx, struct reason *reason, struct wal_recovered *log_out)
{
    struct node_uv *uv = ctx;
    const struct member_config *config = uv->options.config;
    const struct wal_options options = {
        .disk = disk_real(),
        .path = member_dir_wal_path(uv->dir),
        .cluster = config->cluster,
        .member = config->member,
        .segment_bytes = config->snapshot_bytes < WAL_SEGMENT_BYTES_DEFAULT
                             ? config->snapshot_bytes
                             : WAL_SEGMENT_BYTES_DEFAULT,
    };
    return wal_open(&options, reason, log_out, &uv->wal);
}

static enum error submit_write(void *ctx, const struct raft_write *write)
{
    struct node_uv *uv = ctx;
    enum error error = wal_writer_submit(uv->writer, write);
    if (error == ERR_OK) {
        note_submitted(&uv->write_times, write->seq);
    }
    /* After a fatal error the process is about to end: on_fatal. */
    return error == ERR_CLOSED ? ERR_OK : error;
}

static bool log_has_room(void *ctx)
{
    const struct node_uv *uv = ctx;
    return wal_writer_has_room(uv->writer);
}

static void cut_log(void *ctx, uint64_t index)
{
    struct node_uv *uv = ctx;
    wal_writer_cut(uv->writer, index);
}

static void probe_disk(void *ctx)
{
    struct node_uv *uv = ctx;
    wal_writer_look(uv->writer);
}

static void look_at_disk(void *ctx, struct node_disk_look *look_out)
{
    const struct node_uv *uv = ctx;
    *look_out = (struct node_disk_look){
        .busy = wal_writer_is_busy(uv->writer),
        .progress = wal_writer_progress(uv->writer),
        .free_bytes = space_free_bytes(uv->space),
        .is_low = space_is_low(uv->space),
        .has_reserve = space_has_reserve(uv->space),
        .batches = wal_writer_batches(uv->writer),
    };
}

/* On the append thread. */
static void on_durable(uint64_t seq, uint64_t durable_index, void *ctx)
{
    (void)durable_index;
    struct node_uv *uv = ctx;
    atomic_store(&uv->durable_seq, seq);
    CHECK(uv_async_send(&uv->durable) == 0);
}

/* On the append thread. */
static void on_fatal(enum error error, const struct reason *reason, void *ctx)
{
    (void)ctx;
    node_uv_die("log.failed", error, reason->text);
}

static void note_submitted(struct node_uv_write_times *times, uint64_t seq)
{
    times->seq[times->next] = seq;
    times->at_ns[times->next] = clock_boottime_ns();
    times->next = (times->next + 1) % NODE_UV_WRITE_TIMES;
}

static void observe_durable(struct node_uv_write_times *times, uint64_t to_seq)
{
    if (to_seq == times->told_seq) {
        return;
    }
    uint64_t now_ns = clock_boottime_ns();
    for (uint32_t i = 0; i < NODE_UV_WRITE_TIMES; i++) {
        if (times->seq[i] > times->told_seq && times->seq[i] <= to_seq) {
            metric_observe(&durable_seconds, (double)(now_ns - times->at_ns[i]) / 1e9);
        }
    }
    times->told_seq = to_seq;
}
