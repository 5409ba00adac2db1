/* SPDX-License-Identifier: Apache-2.0 */
/* The start of a member: take the folder, read the log, open the store, and refuse to go on unless
 * the three tell one story. Everything that can be wrong here ends with a text for the operator. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/recovery_check.h"
#include "storage/disk.h"

#include <inttypes.h>
#include <stdio.h>

/* Everything taken on the way, for one way out. */
struct recovery {
    struct reason reason;
    struct wal_recovered log;
    struct wal *wal;
    struct store *store;
    struct raft_configuration founding;
    struct snapshot_info newest;             /* the newest snapshot file; index 0: none */
    struct snapshot_info partial;            /* the one being received when we stopped */
    struct raft_configuration configuration; /* at the newest snapshot, or the founding one */
    uint64_t stored_index;
};

static enum error open_folder(struct node *node, struct recovery *recovery);
static enum error open_log(struct node *node, struct recovery *recovery);
static enum error open_snapshots(struct node *node, struct recovery *recovery);
static enum error advise(struct recovery *recovery, enum error error);
static enum error open_store(struct node *node, struct recovery *recovery);
static enum error check_agreement(struct node *node, struct recovery *recovery);
static enum error read_position(struct recovery *recovery, struct apply_position *position_out);
static void start_core(struct node *node, const struct recovery *recovery);
static enum error start_threads(struct node *node, struct recovery *recovery);
static uint64_t durable_index(void *ctx);
static void on_store_fatal(enum error error, const char *reason, void *ctx);
static void trace(const char *line, void *ctx);

enum error node_recover(struct node *node, struct reason *reason)
{
    struct recovery *recovery = mem_new(sizeof(*recovery));
    enum error error = open_folder(node, recovery);
    if (error != ERR_OK) {
        goto out;
    }
    /* On a full disk this gives the reserve up, and with it room to start. */
    node->space = space_new(disk_real(), node->config->dir);
    space_step(node->space);
    error = open_log(node, recovery);
    if (error != ERR_OK) {
        goto out;
    }
    error = node_quarantine_start(node, &recovery->log, &recovery->reason);
    if (error != ERR_OK) {
        goto out;
    }
    error = open_snapshots(node, recovery);
    if (error != ERR_OK) {
        goto out;
    }
    error = open_store(node, recovery);
    if (error != ERR_OK) {
        goto out;
    }
    error = check_agreement(node, recovery);
    if (error != ERR_OK) {
        goto out;
    }
    start_core(node, recovery);
    error = start_threads(node, recovery);
    if (error == ERR_OK) {
        node_snapshot_start(node, &recovery->newest);
    }
out:
    if (error != ERR_OK) {
        *reason = recovery->reason;
        if (recovery->store != NULL) {
            store_close(recovery->store);
        }
        if (recovery->wal != NULL) {
            wal_close(recovery->wal);
        }
        if (node->space != NULL) {
            space_free(node->space);
        }
        if (node->dir != NULL) {
            member_dir_close(node->dir);
        }
    }
    wal_recovered_deinit(&recovery->log);
    mem_free(recovery);
    return error;
}

static enum error open_folder(struct node *node, struct recovery *recovery)
{
    const struct member_config *config = node->config;
    const struct member_expected expected = {
        .cluster = config->cluster, .member = config->member, .name = config->name};
    TRY(member_dir_open(config->dir, &expected, &recovery->reason, &node->dir));
    const struct member_identity *identity = member_dir_identity(node->dir);
    if (identity->founding.len == 0) {
        return ERR_OK; /* it joins: others tell it who the members are */
    }
    enum error error =
        raft_configuration_decode(buf_view(&identity->founding), &recovery->founding);
    if (error != ERR_OK) {
        return reason_set(&recovery->reason,
                          error,
                          "%s/identity: the founding configuration cannot be read: restore the "
                          "file from a backup, or join as a new member",
                          config->dir);
    }
    return ERR_OK;
}

static enum error open_log(struct node *node, struct recovery *recovery)
{
    const struct wal_options options = {
        .disk = disk_real(),
        .path = member_dir_wal_path(node->dir),
        .cluster = node->config->cluster,
        .member = node->config->member,
        .segment_bytes = node->config->snapshot_bytes < WAL_SEGMENT_BYTES_DEFAULT
                             ? node->config->snapshot_bytes
                             : WAL_SEGMENT_BYTES_DEFAULT,
    };
    return wal_open(&options, &recovery->reason, &recovery->log, &recovery->wal);
}

static enum error open_snapshots(struct node *node, struct recovery *recovery)
{
    const struct snapshot_dir dir = {.disk = disk_real(),
                                     .path = member_dir_snapshots_path(node->dir)};
    recovery->configuration = recovery->founding;
    TRY(snapshot_dir_scan(&dir, &recovery->reason, &recovery->newest, &recovery->partial));
    if (recovery->newest.index == 0) {
        return ERR_OK;
    }
    char path[SNAPSHOT_PATH_SIZE];
    struct snapshot_header header;
    snapshot_dir_path(&dir, &recovery->newest, path);
    enum error error = snapshot_file_header(dir.disk, path, &recovery->reason, &header);
    if (error != ERR_OK) {
        return advise(recovery, error);
    }
    error = raft_configuration_decode(slice_of(header.configuration, header.configuration_len),
                                      &recovery->configuration);
    if (error != ERR_OK) {
        return reason_set(&recovery->reason,
                          error,
                          "snapshot %s: its configuration cannot be read: join as a new member",
                          path);
    }
    return ERR_OK;
}

/* Of a snapshot that cannot be used: the reason, and what helps. */
static enum error advise(struct recovery *recovery, enum error error)
{
    if (error != ERR_CORRUPT) {
        return error;
    }
    const struct reason why = recovery->reason;
    return reason_set(&recovery->reason,
                      error,
                      "%.400s. Move it out of the folder and start again: if the snapshot before "
                      "it is there and the log reaches back to that, this member goes on from "
                      "there; if not, the start says so, and it has to join as a new member, with "
                      "a new id",
                      why.text);
}

/* A store behind the newest snapshot is one whose install was cut short, or that was removed to be
 * rebuilt: the snapshot is whole, so it is installed (again). */
static enum error open_store(struct node *node, struct recovery *recovery)
{
    const char *path = member_dir_store_path(node->dir);
    const struct store_options options = {.path = path};
    TRY(store_settle(path, &recovery->reason));
    TRY(store_open(&options, &recovery->reason, &recovery->store));
    recovery->stored_index = store_committed_index(recovery->store);
    if (recovery->stored_index >= recovery->newest.index) {
        return ERR_OK;
    }
    const struct snapshot_dir dir = {.disk = disk_real(),
                                     .path = member_dir_snapshots_path(node->dir)};
    char snapshot[SNAPSHOT_PATH_SIZE];
    struct snapshot_header header;
    snapshot_dir_path(&dir, &recovery->newest, snapshot);
    log_event(LOG_INFO, "store.rebuilt", "snapshot=%s", snapshot);
    store_close(recovery->store);
    recovery->store = NULL;
    enum error error = store_install(dir.disk, snapshot, path, &recovery->reason, &header);
    if (error != ERR_OK) {
        return advise(recovery, error);
    }
    TRY(store_open(&options, &recovery->reason, &recovery->store));
    recovery->stored_index = store_committed_index(recovery->store);
    return ERR_OK;
}

static enum error check_agreement(struct node *node, struct recovery *recovery)
{
    struct apply_position position = {0};
    if (recovery->stored_index != 0) {
        TRY(read_position(recovery, &position));
    }
    const struct recovery_facts facts = {
        .log = {.first_index = recovery->log.first_index,
                .entries = recovery->log.entries,
                .entries_count = recovery->log.entries_count},
        .snapshot_index = recovery->newest.index,
        .snapshot_term = recovery->newest.term,
        .stored_index = recovery->stored_index,
        .stored_term = position.term,
        .dir = node->config->dir,
        .store_path = member_dir_store_path(node->dir),
    };
    TRY(recovery_check(&facts, &recovery->reason));
    node->state_hash = position.state_hash;
    node->applied_term = position.term;
    return ERR_OK;
}

static enum error read_position(struct recovery *recovery, struct apply_position *position_out)
{
    enum error error = store_begin(recovery->store, clock_monotonic_ms());
    if (error != ERR_OK) {
        recovery->reason = *store_reason(recovery->store);
        return error;
    }
    struct apply_position position;
    apply_position(store_tables(recovery->store), &position);
    store_abort(recovery->store);
    if (position.index != recovery->stored_index) {
        return reason_set(&recovery->reason,
                          ERR_CORRUPT,
                          "the store says that it holds the state at index %" PRIu64
                          ", its tables are at %" PRIu64
                          ": remove both its files and start again, the state is rebuilt from "
                          "snapshot and log",
                          recovery->stored_index,
                          position.index);
    }
    *position_out = position;
    return ERR_OK;
}

static void start_core(struct node *node, const struct recovery *recovery)
{
    const struct member_config *config = node->config;
    uint64_t seed[2];
    id128_random(&seed[0], &seed[1]);
    uint32_t rank = 0;
    while (!member_id_equal(config->members[rank].id, config->member)) {
        rank++;
        CHECK(rank < config->members_count);
    }
    const struct raft_options options = {
        .self = config->member,
        .seed = seed[0],
        .heartbeat_ms = config->heartbeat_ms,
        .election_ms = config->election_ms,
        .rank = rank,
        .log_tail_bytes = (uint32_t)(config->snapshot_bytes / 2),
        .trace = config->log_level == LOG_DEBUG ? trace : NULL,
        .trace_ctx = node,
    };
    const struct raft_recovered recovered = {
        .hard_state = recovery->log.hard_state,
        .entries = recovery->log.entries,
        .entries_count = recovery->log.entries_count,
        .snapshot_index = recovery->newest.index,
        .snapshot_term = recovery->newest.term,
        .snapshot_size = recovery->newest.size,
        .configuration = recovery->configuration,
        .applied_index = recovery->stored_index,
        .partial_index = recovery->partial.index,
        .partial_term = recovery->partial.term,
        .partial_bytes = recovery->partial.size,
    };
    uint64_t now_ms = clock_monotonic_ms();
    node->raft = raft_new(&options, &recovered, now_ms);
    raft_set_may_lead(node->raft, !node->quarantine.active);
    node->leader_heard_ms = now_ms;
    node->term = recovery->log.hard_state.term;
    node->applied = recovery->stored_index;
    node->submitted = recovery->stored_index;
    node->commit = recovery->stored_index;
    log_event(LOG_INFO,
              "member.recovered",
              "term=%" PRIu64 " last=%" PRIu64 " applied=%" PRIu64,
              node->term,
              wal_last_index(recovery->wal),
              node->applied);
}

static enum error start_threads(struct node *node, struct recovery *recovery)
{
    uv_loop_t *loop = net_loop(node->options.net);
    const struct wal_writer_options writer = {
        .wal = recovery->wal,
        .space = node->space,
        .on_durable = node_disk_on_durable,
        .on_fatal = node_disk_on_fatal,
        .ctx = node,
    };
    enum error error = wal_writer_start(&writer, &node->writer);
    if (error != ERR_OK) {
        raft_free(node->raft);
        return reason_set(&recovery->reason, error, "no thread for the log can be started");
    }
    recovery->wal = NULL;
    const struct applier_options applier = {
        .loop = loop,
        .store = recovery->store,
        .durable_index = durable_index,
        .on_batch = node_office_on_batch,
        .on_fatal = on_store_fatal,
        .ctx = node,
    };
    error = applier_start(&applier, &node->applier);
    if (error != ERR_OK) {
        wal_writer_stop(node->writer);
        raft_free(node->raft);
        return reason_set(&recovery->reason, error, "no thread for the store can be started");
    }
    recovery->store = NULL;
    /* Its first use follows the first submitted write, after this. */
    CHECK(uv_async_init(loop, &node->durable, node_disk_on_async) == 0);
    node->durable.data = node;
    node->handles_open++;
    return ERR_OK;
}

static uint64_t durable_index(void *ctx)
{
    const struct node *node = ctx;
    return wal_writer_durable_index(node->writer);
}

static void on_store_fatal(enum error error, const char *reason, void *ctx)
{
    (void)ctx;
    node_die("store.failed", error, reason);
}

static void trace(const char *line, void *ctx)
{
    (void)ctx;
    log_event(LOG_DEBUG, "raft.trace", "line=%s", log_quote(line));
}
