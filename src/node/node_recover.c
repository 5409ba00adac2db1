/* SPDX-License-Identifier: Apache-2.0 */
/* The start of a member: read the log, open the tables, and refuse to go on unless log, snapshots
 * and tables tell one story. Everything that can be wrong here ends with a text for the operator.
 */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/recovery_check.h"

#include <inttypes.h>

/* Everything found on the way. */
struct recovery {
    struct reason *reason;
    struct wal_recovered log;
    struct snapshot_info newest;             /* the newest snapshot file; index 0: none */
    struct snapshot_info partial;            /* the one being received when we stopped */
    struct raft_configuration configuration; /* at the newest snapshot, or the founding one */
    struct apply_position stored;
};

static enum error recover(struct node *node, struct recovery *recovery);
static enum error open_snapshots(struct node *node, struct recovery *recovery);
static enum error advise(struct recovery *recovery, enum error error);
static enum error open_store(struct node *node, struct recovery *recovery);
static enum error check_agreement(const struct node *node, struct recovery *recovery);
static void start_core(struct node *node, const struct recovery *recovery);
static void trace(const char *line, void *ctx);

enum error node_recover(struct node *node, struct reason *reason)
{
    struct recovery *recovery = mem_new(sizeof(*recovery));
    recovery->reason = reason;
    enum error error = recover(node, recovery);
    if (error == ERR_OK) {
        start_core(node, recovery);
        node_snapshot_start(node, &recovery->newest);
    }
    wal_recovered_deinit(&recovery->log);
    mem_free(recovery);
    return error;
}

static enum error recover(struct node *node, struct recovery *recovery)
{
    TRY(node->io->ground.open_log(node->ctx, recovery->reason, &recovery->log));
    TRY(node_quarantine_start(node, &recovery->log, recovery->reason));
    TRY(open_snapshots(node, recovery));
    TRY(open_store(node, recovery));
    return check_agreement(node, recovery);
}

static enum error open_snapshots(struct node *node, struct recovery *recovery)
{
    const struct snapshot_dir dir = {.disk = node->io->ground.disk,
                                     .path = node->io->ground.paths->snapshots};
    recovery->configuration = node->core.founding;
    TRY(snapshot_dir_scan(&dir, recovery->reason, &recovery->newest, &recovery->partial));
    if (recovery->newest.index == 0) {
        return ERR_OK;
    }
    char path[SNAPSHOT_PATH_SIZE];
    struct snapshot_header header;
    snapshot_dir_path(&dir, &recovery->newest, path);
    enum error error = snapshot_file_header(dir.disk, path, recovery->reason, &header);
    if (error != ERR_OK) {
        return advise(recovery, error);
    }
    error = raft_configuration_decode(slice_of(header.configuration, header.configuration_len),
                                      &recovery->configuration);
    if (error != ERR_OK) {
        return reason_set(recovery->reason,
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
    const struct reason why = *recovery->reason;
    return reason_set(recovery->reason,
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
    const struct node_ground *ground = &node->io->ground;
    TRY(ground->settle_store(node->ctx, recovery->reason));
    TRY(ground->open_store(node->ctx, recovery->reason, &recovery->stored));
    if (recovery->stored.index >= recovery->newest.index) {
        return ERR_OK;
    }
    const struct snapshot_dir dir = {.disk = ground->disk, .path = ground->paths->snapshots};
    char snapshot[SNAPSHOT_PATH_SIZE];
    snapshot_dir_path(&dir, &recovery->newest, snapshot);
    log_event(LOG_INFO, "store.rebuilt", "snapshot=%s", snapshot);
    ground->close_store(node->ctx);
    enum error error = ground->install_store(node->ctx, snapshot, recovery->reason);
    if (error != ERR_OK) {
        return advise(recovery, error);
    }
    return ground->open_store(node->ctx, recovery->reason, &recovery->stored);
}

static enum error check_agreement(const struct node *node, struct recovery *recovery)
{
    const struct recovery_facts facts = {
        .log = {.first_index = recovery->log.first_index,
                .entries = recovery->log.entries,
                .entries_count = recovery->log.entries_count},
        .snapshot_index = recovery->newest.index,
        .snapshot_term = recovery->newest.term,
        .stored_index = recovery->stored.index,
        .stored_term = recovery->stored.term,
        .dir = node->config->dir,
        .store_path = node->io->ground.paths->store,
    };
    return recovery_check(&facts, recovery->reason);
}

static void start_core(struct node *node, const struct recovery *recovery)
{
    const struct member_config *config = node->config;
    uint32_t rank = 0;
    while (!member_id_equal(config->members[rank].id, config->member)) {
        rank++;
        CHECK(rank < config->members_count);
    }
    const struct raft_options options = {
        .self = config->member,
        .seed = node->core.seed,
        .heartbeat_ms = config->heartbeat_ms,
        .election_ms = config->election_ms,
        .rank = rank,
        .log_tail_entries = node->core.log_tail_entries,
        .log_tail_bytes = (uint32_t)(config->snapshot_bytes / 2),
        .snapshot_chunk_bytes = node->core.snapshot_chunk_bytes,
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
        .applied_index = recovery->stored.index,
        .partial_index = recovery->partial.index,
        .partial_term = recovery->partial.term,
        .partial_bytes = recovery->partial.size,
    };
    uint64_t now_ms = node_now_ms(node);
    node->raft = raft_new(&options, &recovered, now_ms);
    raft_set_may_lead(node->raft, !node->quarantine.active);
    node->leader_heard_ms = now_ms;
    node->term = recovery->log.hard_state.term;
    node->applied = recovery->stored.index;
    node->applied_term = recovery->stored.term;
    node->state_hash = recovery->stored.state_hash;
    node->submitted = recovery->stored.index;
    node->commit = recovery->stored.index;
    log_event(LOG_INFO,
              "member.recovered",
              "term=%" PRIu64 " last=%" PRIu64 " applied=%" PRIu64,
              node->term,
              recovery->log.first_index + recovery->log.entries_count - 1,
              node->applied);
}

static void trace(const char *line, void *ctx)
{
    (void)ctx;
    log_event(LOG_DEBUG, "raft.trace", "line=%s", log_quote(line));
}
