/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_history.h. */
#include "replication/postgres/pg_history.h"

#include "base/check.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RESERVED_AHEAD_MAX = 4096, /* numbers between current and reserved */
    HEAD_SIZE = 64,
    SEGMENT_NAME_LEN = 24,
    HISTORY_NAME_LEN = 16,
    SQL_SIZE = 128,
    FILE_MAX = 16384,
    WORDS_SIZE = 32,
};

#define MARK_TEXT "# indaba: timeline"

static enum error
reserve(struct work *work, const struct pg_place *place, uint32_t current, uint32_t reserved);
static enum error clean(struct work *work, const struct pg_place *place);
static char *announcement(struct epoch epoch, char *text);
static void history_path(const struct pg_place *place, uint32_t timeline, char *path);
static enum error
look_at_file(const struct pg_place *place, uint32_t timeline, bool *exists, bool *ours);
static bool parse_history(const char *text, struct fork *fork);

/* pg_wal is the database's: who is superuser in it could make it a link to a folder of root's. */
enum error pg_history_reserve(struct work *work,
                              const struct pg_place *place,
                              uint32_t current,
                              uint32_t reserved)
{
    as_user_enter(&place->user);
    enum error error = reserve(work, place, current, reserved);
    as_user_leave(&place->user);
    return error;
}

enum error pg_history_clean(struct work *work, const struct pg_place *place)
{
    as_user_enter(&place->user);
    enum error error = clean(work, place);
    as_user_leave(&place->user);
    return error;
}

static enum error
reserve(struct work *work, const struct pg_place *place, uint32_t current, uint32_t reserved)
{
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};
    char path[PG_PATH_SIZE * 2];
    char text[HEAD_SIZE * 2];
    bool exists = false;
    bool ours = false;

    if (reserved <= current || reserved - current > RESERVED_AHEAD_MAX) {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "timeline %" PRIu32 " is reserved, but the database is on %" PRIu32,
                         reserved,
                         current);
    }
    TRY(look_at_file(place, reserved, &exists, &ours));
    if (exists) {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "timeline %" PRIu32 " is reserved for this promotion, but its history "
                         "file is already there",
                         reserved);
    }
    for (uint32_t timeline = current + 1; timeline < reserved; timeline++) {
        TRY(look_at_file(place, timeline, &exists, &ours));
        if (exists) {
            continue;
        }
        history_path(place, timeline, path);
        int len = snprintf(
            text, sizeof(text), MARK_TEXT " %" PRIu32 " reserved for another epoch\n", timeline);
        enum error error = durable_file_write(path, text, (size_t)len, &owner);
        if (error != ERR_OK) {
            return work_fail(work, error, "cannot write %.128s: %s", path, strerrordesc_np(errno));
        }
    }
    return ERR_OK;
}

static enum error clean(struct work *work, const struct pg_place *place)
{
    char dir_path[PG_PATH_SIZE * 2];
    char path[PG_PATH_SIZE * 2];
    uint32_t newest = 1;
    uint32_t newest_file = 1;
    bool exists = false;
    bool ours = false;

    (void)snprintf(dir_path, sizeof(dir_path), "%s/pg_wal", place->data);
    DIR *dir = opendir(dir_path);
    if (dir == NULL) {
        return work_fail(work, ERR_IO, "cannot read %.128s: %s", dir_path, strerrordesc_np(errno));
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name);
        bool segment = len == SEGMENT_NAME_LEN && strspn(entry->d_name, "0123456789ABCDEF") == len;
        bool history = len == HISTORY_NAME_LEN && strcmp(entry->d_name + 8, ".history") == 0;
        if (!segment && !history) {
            continue;
        }
        char digits[9] = "";
        memcpy(digits, entry->d_name, 8);
        uint32_t timeline = (uint32_t)strtoul(digits, NULL, 16);
        if (history && timeline > newest_file) {
            newest_file = timeline;
        }
        if (history && (look_at_file(place, timeline, &exists, &ours) != ERR_OK || ours)) {
            continue;
        }
        if (timeline > newest) {
            newest = timeline;
        }
    }
    (void)closedir(dir);
    for (uint32_t timeline = newest + 1; timeline <= newest_file; timeline++) {
        TRY(look_at_file(place, timeline, &exists, &ours));
        history_path(place, timeline, path);
        if (ours && unlink(path) != 0 && errno != ENOENT) {
            return work_fail(
                work, ERR_IO, "cannot remove %.128s: %s", path, strerrordesc_np(errno));
        }
    }
    return durable_file_sync_dir(dir_path);
}

enum error
pg_history_read(struct work *work, struct pg_conn *conn, uint32_t timeline, struct fork *fork_out)
{
    char sql[SQL_SIZE];
    struct pg_rows *rows = NULL;
    struct fork fork = {.timeline = timeline};

    if (timeline == 1) {
        *fork_out = fork;
        return ERR_OK;
    }
    (void)snprintf(
        sql, sizeof(sql), "SELECT pg_read_file('pg_wal/%08" PRIX32 ".history')", timeline);
    TRY(pg_conn_query(work, conn, sql, PG_QUERY_MS, &rows));
    const char *text = pg_rows_count(rows) == 1 ? pg_rows_text(rows, 0, 0) : NULL;
    bool parsed = text != NULL && parse_history(text, &fork);
    pg_rows_free(rows);
    if (!parsed) {
        return work_fail(work,
                         ERR_CORRUPT,
                         "the history file of timeline %" PRIu32 " names no parent",
                         timeline);
    }
    *fork_out = fork;
    return ERR_OK;
}

bool pg_history_of_folder(const struct pg_place *place, uint32_t timeline, struct fork *fork_out)
{
    char path[PG_PATH_SIZE * 2];
    char text[FILE_MAX + 1];
    size_t len = 0;

    history_path(place, timeline, path);
    as_user_enter(&place->user);
    enum error error = durable_file_read(path, text, FILE_MAX, &len);
    as_user_leave(&place->user);
    text[error == ERR_OK ? len : 0] = '\0';
    *fork_out = (struct fork){.timeline = timeline};
    return parse_history(text, fork_out);
}

enum error pg_history_announce(struct work *work, struct pg_conn *conn, struct epoch epoch)
{
    char sql[SQL_SIZE];
    char words[WORDS_SIZE];

    (void)snprintf(sql,
                   sizeof(sql),
                   "SELECT pg_logical_emit_message(false, 'indaba', '%s')",
                   announcement(epoch, words));
    return pg_conn_query(work, conn, sql, PG_QUERY_MS, NULL);
}

char *pg_history_announcement(struct epoch epoch, char *text)
{
    char words[WORDS_SIZE];
    size_t len = strlen(announcement(epoch, words));
    int used = snprintf(text, PG_ANNOUNCEMENT_SIZE, "prefix \"indaba\"; payload (%zu bytes):", len);

    for (size_t i = 0; i < len; i++) {
        used += snprintf(text + used, PG_ANNOUNCEMENT_SIZE - (size_t)used, " %02X", words[i]);
    }
    return text;
}

static char *announcement(struct epoch epoch, char *text)
{
    (void)snprintf(text, WORDS_SIZE, "epoch %" PRIu64, epoch.value);
    return text;
}

static void history_path(const struct pg_place *place, uint32_t timeline, char *path)
{
    (void)snprintf(path,
                   sizeof(char[PG_PATH_SIZE * 2]),
                   "%s/pg_wal/%08" PRIX32 ".history",
                   place->data,
                   timeline);
}

static enum error
look_at_file(const struct pg_place *place, uint32_t timeline, bool *exists, bool *ours)
{
    char path[PG_PATH_SIZE * 2];
    char head[sizeof(MARK_TEXT) - 1];

    *exists = false;
    *ours = false;
    history_path(place, timeline, path);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return errno == ENOENT ? ERR_OK : error_from_errno(errno);
    }
    *exists = true;
    ssize_t len = read(file, head, sizeof(head));
    *ours = len == (ssize_t)sizeof(head) && memcmp(head, MARK_TEXT, sizeof(head)) == 0;
    (void)close(file);
    return ERR_OK;
}

/* The last line that is no comment: parent, fork point, reason. */
static bool parse_history(const char *text, struct fork *fork)
{
    bool found = false;

    for (const char *line = text; *line != '\0';) {
        char *end = NULL;
        char lsn_text[HEAD_SIZE] = "";
        uint64_t lsn = 0;
        uint32_t parent = (uint32_t)strtoul(line, &end, 10);
        end += strspn(end, " \t");
        (void)snprintf(lsn_text, sizeof(lsn_text), "%.*s", (int)strcspn(end, " \t\n"), end);
        if (line[0] != '#' && parent != 0 && position_parse_lsn(lsn_text, &lsn) == ERR_OK) {
            fork->parent_timeline = parent;
            fork->fork_lsn = lsn;
            found = true;
        }
        line += strcspn(line, "\n");
        line += *line == '\n' ? 1 : 0;
    }
    return found;
}
