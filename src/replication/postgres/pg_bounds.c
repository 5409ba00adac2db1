/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_bounds.h. What is configured is asked of the server's program where our own files do not
 * say it: that takes tens of milliseconds, which a failover should not pay for nothing. */
#include "replication/postgres/pg_bounds.h"

#include "base/check.h"
#include "base/log.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_files.h"
#include "replication/proc.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OVERRIDES_FILE "bounds.conf"

enum {
    ASK_MS = 10000,
    SLOTS_FREE = 9,                /* one for each other instance of a shard */
    SLOTS_RAISED = 2 * SLOTS_FREE, /* so that not each slot that somebody makes takes a start */
};

struct bound {
    const char *name;
    const char *label;   /* in pg_controldata's output */
    uint64_t configured; /* if nobody sets it: pg_config_write's, else PostgreSQL's */
    bool ours;           /* pg_config_write sets it, later than postgresql.base.conf */
};

static const struct bound BOUNDS[PG_BOUNDS_COUNT] = {
    {"max_connections", "max_connections setting:", 100, true},
    {"max_worker_processes", "max_worker_processes setting:", 8, false},
    {"max_wal_senders", "max_wal_senders setting:", 16, true},
    {"max_prepared_transactions", "max_prepared_xacts setting:", 0, false},
    {"max_locks_per_transaction", "max_locks_per_xact setting:", 64, false},
};

/* Of which there must be enough for those that are there, or it does not start, and for the
 * siblings of a primary, or it is not opened. */
static const struct bound SLOTS = {"max_replication_slots", NULL, 16, true};

/* What is configured, and what is written over it. */
struct raising {
    struct buf base;
    struct buf automatic;
    struct buf overrides;
};

static enum error raise_one(struct work *work,
                            const struct pg_place *place,
                            const struct bound *bound,
                            uint64_t needed,
                            struct raising *raising);
static uint64_t raised_to(const struct bound *bound, uint64_t needed);
static enum error count_slots(struct work *work, const struct pg_place *place, uint64_t *count_out);
static enum error number_after(const char *text, const char *label, uint64_t *number_out);
static enum error ask_configured(struct work *work,
                                 const struct pg_place *place,
                                 const char *name,
                                 uint64_t *value_out);
static enum error
write_overrides(struct work *work, const struct pg_place *place, const struct buf *text);
static enum error drop_from_auto(struct work *work, const struct pg_place *place, const char *name);
static const char *next_line(const char *line);

const char *pg_bounds_name(int at)
{
    CHECK(at >= 0 && at < PG_BOUNDS_COUNT);
    return BOUNDS[at].name;
}

enum error pg_bounds_parse(const char *text, struct pg_bounds *bounds_out)
{
    struct pg_bounds bounds;

    TRY(number_after(text, "Database system identifier:", &bounds.system_identifier));
    for (int i = 0; i < PG_BOUNDS_COUNT; i++) {
        TRY(number_after(text, BOUNDS[i].label, &bounds.values[i]));
    }
    *bounds_out = bounds;
    return ERR_OK;
}

static enum error number_after(const char *text, const char *label, uint64_t *number_out)
{
    const char *found = strstr(text, label);
    char *end = NULL;

    if (found == NULL) {
        return ERR_CORRUPT;
    }
    *number_out = strtoull(found + strlen(label), &end, 10);
    return end != found + strlen(label) ? ERR_OK : ERR_CORRUPT;
}

bool pg_bounds_line_sets(const char *line, const char *name)
{
    size_t len = strlen(name);

    line += strspn(line, " \t");
    return strncasecmp(line, name, len) == 0 && strchr(" \t=", line[len]) != NULL &&
           line[len] != '\0';
}

bool pg_bounds_may_set(const char *text, const char *name)
{
    for (const char *line = text; line != NULL; line = next_line(line)) {
        if (pg_bounds_line_sets(line, name) ||
            strncasecmp(line + strspn(line, " \t"), "include", 7) == 0) {
            return true;
        }
    }
    return false;
}

void pg_bounds_without(const char *text, const char *name, struct buf *kept)
{
    for (const char *line = text; line != NULL; line = next_line(line)) {
        if (!pg_bounds_line_sets(line, name)) {
            const char *end = next_line(line);
            buf_append(kept, line, end != NULL ? (size_t)(end - line) : strlen(line));
        }
    }
    buf_append(kept, "", 1);
}

enum error
pg_bounds_needed(struct work *work, const struct pg_place *place, struct pg_bounds *needed_out)
{
    char program[PG_PATH_SIZE * 2];
    struct buf output = {0};

    (void)snprintf(program, sizeof(program), "%s/pg_controldata", place->config.bin_dir);
    const char *const argv[] = {program, "-D", place->data, NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = ASK_MS};
    enum error error = proc_run(work, &request, &output);
    if (error == ERR_OK) {
        buf_append(&output, "", 1);
        error = pg_bounds_parse((const char *)output.data, needed_out);
        if (error != ERR_OK) {
            (void)work_fail(work, error, "pg_controldata does not show the settings of the folder");
        }
    }
    buf_deinit(&output);
    return error;
}

enum error pg_bounds_ours(struct work *work,
                          const struct pg_place *place,
                          const struct pg_bounds *found,
                          uint64_t system_identifier)
{
    if (system_identifier == 0 || system_identifier == found->system_identifier) {
        return ERR_OK;
    }
    return work_fail(work,
                     ERR_PRECONDITION,
                     "%.100s holds another database (identifier %" PRIu64 ", the shard's is "
                     "%" PRIu64 "): it is left alone; move it away",
                     place->data,
                     found->system_identifier,
                     system_identifier);
}

enum error
pg_bounds_raise(struct work *work, const struct pg_place *place, struct pg_bounds *needed_out)
{
    struct raising raising = {0};
    struct pg_bounds needed;
    uint64_t slots = 0;

    enum error error = write_overrides(work, place, &raising.overrides);
    error = error == ERR_OK ? pg_bounds_needed(work, place, &needed) : error;
    error = error == ERR_OK ? count_slots(work, place, &slots) : error;
    error = error == ERR_OK ? pg_files_read_conf(work, place, "postgresql.base.conf", &raising.base)
                            : error;
    error = error == ERR_OK
                ? pg_files_read_conf(work, place, "postgresql.auto.conf", &raising.automatic)
                : error;
    for (int i = 0; error == ERR_OK && i < PG_BOUNDS_COUNT; i++) {
        error = raise_one(work, place, &BOUNDS[i], needed.values[i], &raising);
    }
    error = error == ERR_OK ? raise_one(work, place, &SLOTS, slots + SLOTS_FREE, &raising) : error;
    if (error == ERR_OK && raising.overrides.len > 0) {
        error = write_overrides(work, place, &raising.overrides);
    }
    if (error == ERR_OK) {
        *needed_out = needed;
    }
    buf_deinit(&raising.base);
    buf_deinit(&raising.automatic);
    buf_deinit(&raising.overrides);
    return error;
}

static enum error raise_one(struct work *work,
                            const struct pg_place *place,
                            const struct bound *bound,
                            uint64_t needed,
                            struct raising *raising)
{
    uint64_t configured = bound->configured;

    if (pg_bounds_may_set((const char *)raising->automatic.data, bound->name) ||
        pg_bounds_may_set(place->config.settings, bound->name) ||
        (!bound->ours && pg_bounds_may_set((const char *)raising->base.data, bound->name))) {
        TRY(ask_configured(work, place, bound->name, &configured));
    }
    if (configured >= needed) {
        return ERR_OK;
    }
    log_event(LOG_WARN,
              "settings.raised",
              "name=%s configured=%" PRIu64 " needed=%" PRIu64 " hint=%s",
              bound->name,
              configured,
              needed,
              log_quote(bound == &SLOTS ? "its siblings need some beside those that are there"
                                        : "a standby needs at least what its primary had: set it "
                                          "higher on every instance"));
    buf_printf(&raising->overrides, "%s = %" PRIu64 "\n", bound->name, raised_to(bound, needed));
    return drop_from_auto(work, place, bound->name);
}

static uint64_t raised_to(const struct bound *bound, uint64_t needed)
{
    return bound == &SLOTS ? needed - SLOTS_FREE + SLOTS_RAISED : needed;
}

static enum error count_slots(struct work *work, const struct pg_place *place, uint64_t *count_out)
{
    DIR *dir = NULL;
    uint64_t count = 0;

    TRY(pg_files_open_dir(work, place, "pg_replslot", &dir));
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(dir);
    *count_out = count;
    return ERR_OK;
}

enum error pg_bounds_lower(struct work *work,
                           struct pg_conn *conn,
                           const struct pg_place *place,
                           char *text_out)
{
    static const char SQL[] =
        "SELECT current_setting('max_connections'), current_setting('max_worker_processes'),"
        " current_setting('max_wal_senders'), current_setting('max_prepared_transactions'),"
        " current_setting('max_locks_per_transaction')";
    struct pg_rows *rows = NULL;
    struct pg_bounds needed;

    text_out[0] = '\0';
    TRY(pg_bounds_needed(work, place, &needed));
    TRY(pg_conn_query(work, conn, SQL, PG_QUERY_MS, &rows));
    for (int i = 0; i < PG_BOUNDS_COUNT; i++) {
        uint64_t now = pg_rows_number(rows, 0, i);
        if (now < needed.values[i]) {
            (void)snprintf(text_out,
                           WORK_MESSAGE_SIZE,
                           "%s = %" PRIu64 " is less than the primary had, %" PRIu64,
                           BOUNDS[i].name,
                           now,
                           needed.values[i]);
            break;
        }
    }
    pg_rows_free(rows);
    return ERR_OK;
}

void pg_bounds_slots_low(uint64_t room, char *text_out)
{
    text_out[0] = '\0';
    if (room < SLOTS_FREE) {
        (void)snprintf(text_out,
                       WORK_MESSAGE_SIZE,
                       "max_replication_slots leaves room for %" PRIu64
                       " slots of siblings, and %d "
                       "are needed: somebody made others",
                       room,
                       SLOTS_FREE);
    }
}

/* Also the first to notice settings with which no start can be. */
static enum error ask_configured(struct work *work,
                                 const struct pg_place *place,
                                 const char *name,
                                 uint64_t *value_out)
{
    char program[PG_PATH_SIZE * 2];
    struct buf output = {0};

    (void)snprintf(program, sizeof(program), "%s/postgres", place->config.bin_dir);
    const char *const argv[] = {program, "-D", place->data, "-C", name, NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = ASK_MS};
    enum error error = proc_run(work, &request, &output);
    if (error == ERR_OK) {
        buf_append(&output, "", 1);
        *value_out = strtoull((const char *)output.data, NULL, 10);
    }
    buf_deinit(&output);
    return error;
}

static enum error
write_overrides(struct work *work, const struct pg_place *place, const struct buf *text)
{
    struct durable_owner owner = {.uid = geteuid(), .gid = place->user.gid, .mode = 0640};
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/" OVERRIDES_FILE, place->run);
    if (durable_file_write(path, text->data, text->len, &owner) != ERR_OK) {
        return work_fail(work, ERR_IO, "cannot write %.128s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

/* It is read after everything else, and would win. */
static enum error drop_from_auto(struct work *work, const struct pg_place *place, const char *name)
{
    static const char FILE_NAME[] = "postgresql.auto.conf";
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};
    char path[PG_PATH_SIZE * 2];
    struct buf old = {0};
    struct buf kept = {0};

    (void)snprintf(path, sizeof(path), "%s/%s", place->data, FILE_NAME);
    enum error error = pg_files_read_conf(work, place, FILE_NAME, &old);
    if (error == ERR_OK) {
        pg_bounds_without((const char *)old.data, name, &kept);
        as_user_enter(&place->user);
        bool written = kept.len == old.len ||
                       durable_file_write(path, kept.data, kept.len - 1, &owner) == ERR_OK;
        as_user_leave(&place->user);
        if (!written) {
            error =
                work_fail(work, ERR_IO, "cannot write %.128s: %s", path, strerrordesc_np(errno));
        }
    }
    buf_deinit(&old);
    buf_deinit(&kept);
    return error;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end != NULL && end[1] != '\0' ? end + 1 : NULL;
}
