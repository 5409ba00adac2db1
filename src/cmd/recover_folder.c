/* SPDX-License-Identifier: Apache-2.0 */
/* See recover_folder.h. */
#include "cmd/recover_folder.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft.h"
#include "state/apply.h"
#include "storage/member_dir.h"
#include "storage/snapshot_dir.h"
#include "storage/store.h"
#include "storage/store_copy.h"
#include "storage/wal.h"
#include "wire/wire_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct recover_folder {
    struct member_dir *dir;
    char *path;
    struct wal *wal;
    struct wal_recovered log;
    struct snapshot_info newest;
    struct raft_configuration configuration; /* in force at the log's end */
    struct recover_facts facts;
};

static enum error
append(struct recover_folder *folder, const char *why, uint64_t wall_ms, struct reason *reason);
static enum error read_mark(struct recover_folder *folder, struct reason *reason);
static enum error read_log(struct recover_folder *folder, struct reason *reason);
static enum error read_state(struct recover_folder *folder, struct reason *reason);
static enum error read_position(struct recover_folder *folder,
                                const struct apply_position *position,
                                struct reason *reason);
static enum error read_configuration(struct recover_folder *folder, struct reason *reason);
static enum error base_configuration(struct recover_folder *folder, struct reason *reason);
static enum error check_tail(struct recover_folder *folder, struct reason *reason);
static enum error check_member(struct recover_folder *folder, struct reason *reason);
static struct blob *alone(const struct recover_folder *folder);
static struct blob *
record(const struct recover_folder *folder, const char *why, uint64_t wall_ms, uint64_t term);

enum error
recover_folder_open(const char *path, struct reason *reason, struct recover_folder **folder_out)
{
    const struct member_expected anybody = {0};
    struct recover_folder *folder = mem_new(sizeof(*folder));
    folder->path = mem_dup_string(path);
    enum error error = member_dir_open(path, &anybody, reason, &folder->dir);
    if (error == ERR_OK) {
        folder->facts.identity = member_dir_identity(folder->dir);
        error = read_mark(folder, reason);
    }
    if (error == ERR_OK) {
        error = read_log(folder, reason);
    }
    if (error == ERR_OK) {
        error = read_state(folder, reason);
    }
    if (error == ERR_OK) {
        error = read_configuration(folder, reason);
    }
    if (error == ERR_OK) {
        error = check_tail(folder, reason);
    }
    if (error == ERR_OK) {
        error = check_member(folder, reason);
    }
    if (error != ERR_OK) {
        recover_folder_close(folder);
        return error;
    }
    *folder_out = folder;
    return ERR_OK;
}

void recover_folder_close(struct recover_folder *folder)
{
    wal_recovered_deinit(&folder->log);
    if (folder->wal != NULL) {
        wal_close(folder->wal);
    }
    if (folder->dir != NULL) {
        member_dir_close(folder->dir);
    }
    mem_free(folder->path);
    mem_free(folder);
}

const struct recover_facts *recover_folder_facts(const struct recover_folder *folder)
{
    return &folder->facts;
}

enum error recover_folder_write(struct recover_folder *folder,
                                const char *why,
                                uint64_t wall_ms,
                                struct reason *reason)
{
    if (!folder->facts.written) {
        TRY(append(folder, why, wall_ms, reason));
    }
    return folder->facts.contradicted ? quarantine_mark_remove(disk_real(), folder->path, reason)
                                      : ERR_OK;
}

/* Both entries in one write, which the log holds whole or not at all, in a term that nobody else
 * was elected in as far as this log knows. They commit once this member leads alone, with all
 * before them. */
static enum error
append(struct recover_folder *folder, const char *why, uint64_t wall_ms, struct reason *reason)
{
    const struct recover_facts *facts = &folder->facts;
    uint64_t term = (facts->term > facts->last_term ? facts->term : facts->last_term) + 1;
    struct raft_entry entries[] = {
        {.term = term,
         .index = facts->last_index + 1,
         .kind = RAFT_ENTRY_CONFIGURATION,
         .payload = alone(folder)},
        {.term = term,
         .index = facts->last_index + 2,
         .kind = RAFT_ENTRY_COMMAND,
         .payload = record(folder, why, wall_ms, term)},
    };
    const struct raft_write write = {
        .seq = 1,
        .has_hard_state = true,
        .hard_state = {.term = term, .vote = facts->identity->member},
        .entries = entries,
        .entries_count = ARRAY_LEN(entries),
    };
    enum error error = wal_append(folder->wal, &write, 1);
    if (error != ERR_OK) {
        *reason = *wal_reason(folder->wal);
    }
    blob_unref(entries[0].payload);
    blob_unref(entries[1].payload);
    return error;
}

static enum error read_mark(struct recover_folder *folder, struct reason *reason)
{
    enum error error = quarantine_mark_read(disk_real(), folder->path, reason, &folder->facts.mark);
    if (error == ERR_NOT_FOUND) {
        *reason = (struct reason){0};
        return ERR_OK;
    }
    folder->facts.contradicted = error == ERR_OK;
    return error;
}

static enum error read_log(struct recover_folder *folder, struct reason *reason)
{
    const struct wal_options options = {
        .disk = disk_real(),
        .path = member_dir_wal_path(folder->dir),
        .cluster = folder->facts.identity->cluster,
        .member = folder->facts.identity->member,
    };
    TRY(wal_open(&options, reason, &folder->log, &folder->wal));
    folder->facts.last_index = wal_last_index(folder->wal);
    folder->facts.term = folder->log.hard_state.term;
    if (folder->log.entries_count > 0) {
        folder->facts.last_term = folder->log.entries[folder->log.entries_count - 1].term;
    }
    return ERR_OK;
}

static enum error read_state(struct recover_folder *folder, struct reason *reason)
{
    const char *path = member_dir_store_path(folder->dir);
    const struct store_options options = {.path = path, .read_only = true};
    struct store *store = NULL;
    TRY(store_settle(path, reason));
    TRY(store_open(&options, reason, &store));
    enum error error = store_begin(store, 0);
    if (error != ERR_OK) {
        *reason = *store_reason(store);
        store_close(store);
        return error;
    }
    struct recover_facts *facts = &folder->facts;
    const struct tables *tables = store_tables(store);
    struct apply_position position;
    apply_position(tables, &position);
    query_cluster(tables, &facts->cluster);
    query_ledger_head(tables, &facts->ledger);
    facts->members_count = query_members(tables, facts->members, MEMBERS_MAX);
    CHECK(facts->members_count <= MEMBERS_MAX);
    store_abort(store);
    store_close(store);
    return read_position(folder, &position, reason);
}

/* Anything that a start mends by itself is left to a start. */
static enum error read_position(struct recover_folder *folder,
                                const struct apply_position *position,
                                struct reason *reason)
{
    struct recover_facts *facts = &folder->facts;
    const struct snapshot_dir dir = {.disk = disk_real(),
                                     .path = member_dir_snapshots_path(folder->dir)};
    struct snapshot_info partial;
    TRY(snapshot_dir_scan(&dir, reason, &folder->newest, &partial));
    facts->applied_index = position->index;
    /* A recovery appended to a log that an install was about to drop would be dropped with it. */
    const struct raft_log_span log = {.first_index = folder->log.first_index,
                                      .entries = folder->log.entries,
                                      .entries_count = folder->log.entries_count};
    if (folder->newest.index > position->index || position->index > facts->last_index ||
        !raft_log_goes_through(&log, folder->newest.index, folder->newest.term)) {
        return reason_set(
            reason,
            ERR_PRECONDITION,
            "log, store and snapshots of this folder do not end together (log %" PRIu64
            ", store %" PRIu64 ", snapshot %" PRIu64
            "): start the member once with 'indaba serve', which mends what can be "
            "mended, stop it, and try again",
            facts->last_index,
            position->index,
            folder->newest.index);
    }
    if (folder->log.entries_count == 0) {
        facts->last_term = position->term;
    }
    return ERR_OK;
}

static enum error read_configuration(struct recover_folder *folder, struct reason *reason)
{
    for (uint64_t i = folder->log.entries_count; i > 0; i--) {
        const struct raft_entry *entry = &folder->log.entries[i - 1];
        if (entry->kind == RAFT_ENTRY_CONFIGURATION) {
            enum error error =
                raft_configuration_decode(blob_view(entry->payload), &folder->configuration);
            return error == ERR_OK ? error
                                   : reason_set(reason,
                                                error,
                                                "the configuration at index %" PRIu64
                                                " of the log cannot be read",
                                                entry->index);
        }
    }
    return base_configuration(folder, reason);
}

static enum error base_configuration(struct recover_folder *folder, struct reason *reason)
{
    const struct snapshot_dir dir = {.disk = disk_real(),
                                     .path = member_dir_snapshots_path(folder->dir)};
    struct slice bytes = buf_view(&folder->facts.identity->founding);
    struct snapshot_header header;
    if (folder->newest.index != 0) {
        char path[SNAPSHOT_PATH_SIZE];
        snapshot_dir_path(&dir, &folder->newest, path);
        TRY(snapshot_file_header(disk_real(), path, reason, &header));
        bytes = slice_of(header.configuration, header.configuration_len);
    }
    if (bytes.len == 0 || raft_configuration_decode(bytes, &folder->configuration) != ERR_OK) {
        return reason_set(reason,
                          ERR_PRECONDITION,
                          "this member has joined and not learnt yet who the members are: recover "
                          "another one");
    }
    return ERR_OK;
}

/* What is not applied yet must be readable, and must not be a recovery already, unless the mark is
 * still to be taken away. */
static enum error check_tail(struct recover_folder *folder, struct reason *reason)
{
    struct command *command = mem_new(sizeof(*command));
    enum error error = ERR_OK;
    for (uint64_t i = 0; i < folder->log.entries_count && error == ERR_OK; i++) {
        const struct raft_entry *entry = &folder->log.entries[i];
        if (entry->kind != RAFT_ENTRY_COMMAND || entry->index <= folder->facts.applied_index) {
            continue;
        }
        error = wire_command_decode(blob_view(entry->payload), command);
        if (error != ERR_OK) {
            error = reason_set(reason,
                               error,
                               "the command at index %" PRIu64
                               " cannot be read: use the release that wrote it",
                               entry->index);
        } else if (command->kind == COMMAND_CLUSTER_RECOVERED && folder->facts.contradicted) {
            folder->facts.written = true;
        } else if (command->kind == COMMAND_CLUSTER_RECOVERED) {
            error = reason_set(reason,
                               ERR_PRECONDITION,
                               "this member was recovered already, at index %" PRIu64
                               ": start it with 'indaba serve'",
                               entry->index);
        }
    }
    mem_free(command);
    return error;
}

static enum error check_member(struct recover_folder *folder, struct reason *reason)
{
    const struct recover_facts *facts = &folder->facts;
    bool serves = false;
    for (uint32_t i = 0; i < folder->configuration.count; i++) {
        serves =
            serves || member_id_equal(folder->configuration.servers[i].id, facts->identity->member);
    }
    for (uint32_t i = 0; i < facts->members_count; i++) {
        if (serves && member_id_equal(facts->members[i].id, facts->identity->member)) {
            return ERR_OK;
        }
    }
    return reason_set(reason,
                      ERR_PRECONDITION,
                      "member %s is no member any more as far as it knows (or not yet): recover "
                      "another one",
                      facts->identity->name);
}

/* The rule about regions would keep a single member from ever committing. */
static struct blob *alone(const struct recover_folder *folder)
{
    struct raft_configuration configuration = {.count = 1};
    for (uint32_t i = 0; i < folder->configuration.count; i++) {
        const struct raft_server *server = &folder->configuration.servers[i];
        if (member_id_equal(server->id, folder->facts.identity->member)) {
            configuration.servers[0] =
                (struct raft_server){.id = server->id, .voter = true, .region = server->region};
        }
    }
    configuration.rules = folder->configuration.rules;
    configuration.rules.commit_regions_min = 0;
    struct buf bytes = {0};
    raft_configuration_encode(&configuration, &bytes);
    struct blob *blob = blob_new(buf_view(&bytes));
    buf_deinit(&bytes);
    return blob;
}

static struct blob *
record(const struct recover_folder *folder, const char *why, uint64_t wall_ms, uint64_t term)
{
    struct command *command = mem_new(sizeof(*command));
    struct command_cluster_recovered *body = &command->cluster_recovered;
    command->kind = COMMAND_CLUSTER_RECOVERED;
    command->leader_term = term;
    command->wall_ms = wall_ms;
    (void)snprintf(command->actor, sizeof(command->actor), "force-recover");
    body->survivor = folder->facts.identity->member;
    body->cluster_epoch = folder->facts.cluster.cluster_epoch + 1;
    (void)snprintf(body->reason, sizeof(body->reason), "%s", why);
    struct buf bytes = {0};
    wire_command_encode(command, &bytes);
    struct blob *blob = blob_new(buf_view(&bytes));
    buf_deinit(&bytes);
    mem_free(command);
    return blob;
}
