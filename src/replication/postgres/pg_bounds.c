/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_bounds.h. What is configured is asked of the server's program where our own files do not
 * say it: that takes tens of milliseconds, which a failover should not pay for nothing. */
#include "replication/postgres/pg_bounds.h"

#include "base/check.h"
#include "base/log.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OVERRIDES_FILE "bounds.conf"

enum {
    ASK_MS = 10000,
    CONF_MAX = 256 * 1024,
};

static const struct {
    const char *name;
    const char *label;   /* in pg_controldata's output */
    uint64_t configured; /* if nobody sets it: pg_config_write's, else PostgreSQL's */
    bool ours;           /* pg_config_write sets it, later than postgresql.base.conf */
} BOUNDS[PG_BOUNDS_COUNT] = {
    {"max_connections", "max_connections setting:", 100, true},
    {"max_worker_processes", "max_worker_processes setting:", 8, false},
    {"max_wal_senders", "max_wal_senders setting:", 16, true},
    {"max_prepared_transactions", "max_prepared_xacts setting:", 0, false},
    {"max_locks_per_transaction", "max_locks_per_xact setting:", 64, false},
};

static enum error number_after(const char *text, const char *label, uint64_t *number_out);
static enum error ask_configured(struct work *work,
                                 const struct pg_place *place,
                                 const char *name,
                                 uint64_t *value_out);
static enum error
write_overrides(struct work *work, const struct pg_place *place, const struct buf *text);
static enum error drop_from_auto(struct work *work, const struct pg_place *place, const char *name);
static enum error
read_conf(struct work *work, const struct pg_place *place, const char *file, struct buf *text);
static const char *next_line(const char *line);
static bool sets(const char *line, const char *name);

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

bool pg_bounds_may_set(const char *text, const char *name)
{
    for (const char *line = text; line != NULL; line = next_line(line)) {
        if (sets(line, name) || strncasecmp(line + strspn(line, " \t"), "include", 7) == 0) {
            return true;
        }
    }
    return false;
}

void pg_bounds_without(const char *text, const char *name, struct buf *kept)
{
    for (const char *line = text; line != NULL; line = next_line(line)) {
        if (!sets(line, name)) {
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
    struct buf base = {0};
    struct buf automatic = {0};
    struct buf overrides = {0};
    struct pg_bounds needed;

    enum error error = write_overrides(work, place, &overrides);
    error = error == ERR_OK ? pg_bounds_needed(work, place, &needed) : error;
    error = error == ERR_OK ? read_conf(work, place, "postgresql.base.conf", &base) : error;
    error = error == ERR_OK ? read_conf(work, place, "postgresql.auto.conf", &automatic) : error;
    for (int i = 0; error == ERR_OK && i < PG_BOUNDS_COUNT; i++) {
        const char *name = BOUNDS[i].name;
        uint64_t configured = BOUNDS[i].configured;
        if (pg_bounds_may_set((const char *)automatic.data, name) ||
            pg_bounds_may_set(place->config.settings, name) ||
            (!BOUNDS[i].ours && pg_bounds_may_set((const char *)base.data, name))) {
            error = ask_configured(work, place, name, &configured);
        }
        if (error != ERR_OK || configured >= needed.values[i]) {
            continue;
        }
        log_event(LOG_WARN,
                  "settings.raised",
                  "name=%s configured=%" PRIu64 " needed=%" PRIu64 " hint=%s",
                  name,
                  configured,
                  needed.values[i],
                  log_quote("a standby needs at least what its primary had: set it higher on "
                            "every instance"));
        buf_printf(&overrides, "%s = %" PRIu64 "\n", name, needed.values[i]);
        error = drop_from_auto(work, place, name);
    }
    if (error == ERR_OK && overrides.len > 0) {
        error = write_overrides(work, place, &overrides);
    }
    if (error == ERR_OK) {
        *needed_out = needed;
    }
    buf_deinit(&base);
    buf_deinit(&automatic);
    buf_deinit(&overrides);
    return error;
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
    enum error error = read_conf(work, place, FILE_NAME, &old);
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

/* As a string; empty if there is no such file. */
static enum error
read_conf(struct work *work, const struct pg_place *place, const char *file, struct buf *text)
{
    char path[PG_PATH_SIZE * 2];
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", place->data, file);
    buf_reserve(text, CONF_MAX);
    as_user_enter(&place->user);
    enum error error = durable_file_read(path, text->data, CONF_MAX - 1, &len);
    as_user_leave(&place->user);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        return work_fail(work, error, "cannot read %.128s: %s", path, error_text(error));
    }
    text->data[len] = '\0';
    text->len = len + 1;
    return ERR_OK;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end != NULL && end[1] != '\0' ? end + 1 : NULL;
}

static bool sets(const char *line, const char *name)
{
    size_t len = strlen(name);

    line += strspn(line, " \t");
    return strncasecmp(line, name, len) == 0 && strchr(" \t=", line[len]) != NULL &&
           line[len] != '\0';
}
