/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_lineage.h. Whoever starts a standby's folder without standby.signal, in single-user mode,
 * or after pg_resetwal has PostgreSQL write the checkpoint of a shutdown before anything else; a
 * promotion takes another timeline. A primary in office writes such a checkpoint only as its last
 * record: each of its starts is one as a standby. */
#include "replication/postgres/pg_lineage.h"

#include "base/check.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_bounds.h"
#include "replication/postgres/pg_files.h"
#include "replication/proc.h"
#include "replication/start_nonce.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_FILE "backup_label"

enum {
    CONTROL_SIZE = 8192,
    LABEL_MAX = 4096,
    PID_FILE_MAX = 4096,
    SEGMENT_NAME_LEN = 24,
    ASK_MS = 10000,
    LSN_SIZE = 32,
    LINK_SIZE = 64,
};

static enum error
digest_control(struct work *work, const struct pg_place *place, struct sha256 *digest_out);
static enum error nobody_runs(struct work *work, const struct pg_place *place);
static enum error ask_control(struct work *work,
                              const struct pg_place *place,
                              uint64_t system_identifier,
                              struct lineage_evidence *evidence,
                              struct position *needs_out);
static void find_anchor(const struct pg_place *place,
                        const struct driver_request *request,
                        struct lineage_evidence *evidence);
static bool has_label(const struct pg_place *place);
static size_t read_theirs(const struct pg_place *place, const char *name, char *text, size_t size);
static enum error
find_newest(struct work *work, const struct pg_place *place, uint32_t *timeline_out);
static bool lsn_after(const char *line, const char *label, uint64_t *lsn_out);

enum error pg_lineage_look(struct work *work,
                           const struct pg_place *place,
                           const struct driver_request *request,
                           struct pg_lineage *lineage_out)
{
    struct lineage_evidence evidence = {0};
    struct pg_lineage lineage = {0};
    struct pg_lineage_way way = {0};
    struct guard_folder folder;
    const struct start_place at = {
        .data = place->data, .state = place->state, .user = &place->user};

    TRY(nobody_runs(work, place));
    TRY(digest_control(work, place, &lineage.control));
    TRY(ask_control(work, place, request->goal.system_identifier, &evidence, &lineage.needs));
    start_nonce_read(&at, &folder);
    evidence.same_folder = folder.nonce != 0;
    TRY(find_newest(work, place, &evidence.newest_timeline));
    find_anchor(place, request, &evidence);
    if (evidence.anchor.timeline != 0) {
        TRY(pg_lineage_find_way(work, place, request, &evidence, &way));
        TRY(pg_lineage_scan(work, place, &way, &evidence));
    }
    lineage.doubt = lineage_doubt(&evidence);
    lineage.from = evidence.anchor;
    if (way.count > 0) {
        lineage.from = lineage_fork_place(&way.forks[way.count - 1]);
    }
    *lineage_out = lineage;
    return ERR_OK;
}

enum error
pg_lineage_still(struct work *work, const struct pg_place *place, const struct pg_lineage *lineage)
{
    struct sha256 digest;

    TRY(nobody_runs(work, place));
    TRY(digest_control(work, place, &digest));
    return memcmp(digest.bytes, lineage->control.bytes, SHA256_SIZE) == 0
               ? ERR_OK
               : work_fail(work,
                           ERR_PRECONDITION,
                           "somebody ran the database since its history was looked at");
}

enum error pg_lineage_same_wal(struct work *work,
                               const struct pg_place *place,
                               const struct driver_request *request)
{
    const struct lineage_anchor *anchor = &request->anchor;

    if (anchor->incarnation != request->incarnation.value) {
        return ERR_OK; /* a copy that never ran has its label rightly */
    }
    if (has_label(place)) {
        return work_fail(
            work, ERR_PRECONDITION, "somebody put a " LABEL_FILE " into %.128s", place->data);
    }
    if (anchor->fingerprint == 0 ||
        pg_lineage_fingerprint(place, anchor->position) == anchor->fingerprint) {
        return ERR_OK;
    }
    return work_fail(
        work, ERR_PRECONDITION, "the WAL in %.128s is not what its sidecar saw in it", place->data);
}

void pg_lineage_read_records(const char *text,
                             uint64_t checkpoint_lsn,
                             struct pg_lineage_records *records_out)
{
    struct pg_lineage_records records = {0};

    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        size_t len = (size_t)(end - line);
        uint64_t lsn = 0;
        bool is_end = memmem(line, len, "desc: CHECKPOINT_SHUTDOWN", 25) != NULL;
        bool is_online = memmem(line, len, "desc: CHECKPOINT_ONLINE", 23) != NULL;
        if ((is_end || is_online) && lsn_after(line, "lsn: ", &lsn)) {
            records.checkpoint_found = records.checkpoint_found || lsn == checkpoint_lsn;
            records.ends += is_end ? 1 : 0;
            records.last_end_lsn = is_end ? lsn : records.last_end_lsn;
        }
        line = *end == '\n' ? end + 1 : NULL;
    }
    *records_out = records;
}

enum error
pg_lineage_read_control(const char *text, bool *writable_out, uint64_t *checkpoint_lsn_out)
{
    static const char STATE[] = "Database cluster state:";
    const char *state = strstr(text, STATE);

    if (state == NULL || !lsn_after(text, "Latest checkpoint location:", checkpoint_lsn_out)) {
        return ERR_CORRUPT;
    }
    state += sizeof(STATE) - 1;
    state += strspn(state, " ");
    *writable_out = strncmp(state, "shut down in recovery\n", 22) != 0 &&
                    strncmp(state, "in archive recovery\n", 20) != 0;
    return ERR_OK;
}

void pg_lineage_read_needs(const char *text, struct position *needs_out)
{
    static const char TIMELINE[] = "Min recovery ending loc's timeline:";
    const char *timeline = strstr(text, TIMELINE);
    struct position needs = {0};

    if (timeline != NULL && lsn_after(text, "Minimum recovery ending location:", &needs.lsn)) {
        needs.timeline = (uint32_t)strtoul(timeline + sizeof(TIMELINE) - 1, NULL, 10);
    }
    *needs_out = needs.lsn == 0 ? (struct position){0} : needs;
}

enum error pg_lineage_read_label(const char *text, struct position *begin_out)
{
    static const char TIMELINE[] = "START TIMELINE: ";
    const char *timeline = strstr(text, TIMELINE);
    struct position begin = {0};

    if (timeline == NULL || !lsn_after(text, "START WAL LOCATION: ", &begin.lsn)) {
        return ERR_CORRUPT;
    }
    begin.timeline = (uint32_t)strtoul(timeline + sizeof(TIMELINE) - 1, NULL, 10);
    if (begin.timeline == 0) {
        return ERR_CORRUPT;
    }
    *begin_out = begin;
    return ERR_OK;
}

static enum error
digest_control(struct work *work, const struct pg_place *place, struct sha256 *digest_out)
{
    char bytes[CONTROL_SIZE];
    struct slice part = {.data = (const uint8_t *)bytes};

    part.len = read_theirs(place, "global/pg_control", bytes, sizeof(bytes));
    if (part.len == 0) {
        return work_fail(work, ERR_IO, "cannot read %.128s/global/pg_control", place->data);
    }
    *digest_out = hash_sha256(&part, 1);
    return ERR_OK;
}

/* By the lock file; whoever took that away has to know himself what runs. */
static enum error nobody_runs(struct work *work, const struct pg_place *place)
{
    char text[PID_FILE_MAX + 1] = "";
    char path[LINK_SIZE];
    char dir[PATH_MAX] = "";
    char data[PATH_MAX] = "";

    (void)read_theirs(place, "postmaster.pid", text, PID_FILE_MAX);
    long pid = strtol(text, NULL, 10);
    if (pid <= 1) {
        return ERR_OK;
    }
    (void)snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
    ssize_t len = readlink(path, dir, sizeof(dir) - 1);
    if (len > 0 && realpath(place->data, data) != NULL && strcmp(dir, data) == 0) {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "process %ld, started by somebody else, runs on %.100s: stop it",
                         pid,
                         place->data);
    }
    return ERR_OK;
}

static enum error ask_control(struct work *work,
                              const struct pg_place *place,
                              uint64_t system_identifier,
                              struct lineage_evidence *evidence,
                              struct position *needs_out)
{
    char program[PG_PATH_SIZE * 2];
    struct buf output = {0};
    struct pg_bounds bounds;

    (void)snprintf(program, sizeof(program), "%s/pg_controldata", place->config.bin_dir);
    const char *const argv[] = {program, "-D", place->data, NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = ASK_MS};
    enum error error = proc_run(work, &request, &output);
    if (error == ERR_OK) {
        buf_append(&output, "", 1);
        const char *text = (const char *)output.data;
        pg_lineage_read_needs(text, needs_out);
        error = pg_bounds_parse(text, &bounds);
        error = error != ERR_OK
                    ? error
                    : pg_lineage_read_control(text, &evidence->writable, &evidence->checkpoint_lsn);
        error = error != ERR_OK
                    ? work_fail(work, error, "pg_controldata does not show the state of the folder")
                    : pg_bounds_ours(work, place, &bounds, system_identifier);
    }
    buf_deinit(&output);
    return error;
}

static void find_anchor(const struct pg_place *place,
                        const struct driver_request *request,
                        struct lineage_evidence *evidence)
{
    const struct lineage_anchor *anchor = &request->anchor;
    bool known = anchor->incarnation == request->incarnation.value;
    struct position begin = {0};
    char label[LABEL_MAX + 1] = "";

    evidence->anchor = known ? anchor->position : (struct position){0};
    evidence->fingerprint = known ? anchor->fingerprint : 0;
    evidence->office = request->writable_epoch.value > (known ? anchor->writable_epoch : 0);
    if (evidence->office && request->office.timeline > evidence->anchor.timeline) {
        evidence->anchor = (struct position){request->office.timeline, request->office.fork_lsn};
        evidence->fingerprint = 0;
    }
    (void)read_theirs(place, LABEL_FILE, label, LABEL_MAX);
    if (pg_lineage_read_label(label, &begin) == ERR_OK &&
        (evidence->anchor.timeline == 0 || position_compare(evidence->anchor, begin) == 0)) {
        evidence->copy = true;
        evidence->anchor = begin;
        evidence->fingerprint = 0;
    }
    evidence->label = !evidence->copy && has_label(place);
}

/* PostgreSQL takes it away in the first start of a copy, and makes none where it runs. */
static bool has_label(const struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/" LABEL_FILE, place->data);
    as_user_enter(&place->user);
    bool has = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    as_user_leave(&place->user);
    return has;
}

/* Of a file in the data folder; 0: not there, or too large. */
static size_t read_theirs(const struct pg_place *place, const char *name, char *text, size_t size)
{
    char path[PG_PATH_SIZE * 2];
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", place->data, name);
    as_user_enter(&place->user);
    enum error error = durable_file_read(path, text, size, &len);
    as_user_leave(&place->user);
    return error == ERR_OK ? len : 0;
}

static enum error
find_newest(struct work *work, const struct pg_place *place, uint32_t *timeline_out)
{
    DIR *dir = NULL;
    uint32_t newest = 0;

    TRY(pg_files_open_dir(work, place, "pg_wal", &dir));
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name);
        if (len != SEGMENT_NAME_LEN || strspn(entry->d_name, "0123456789ABCDEF") != len) {
            continue;
        }
        char digits[9] = "";
        memcpy(digits, entry->d_name, 8);
        uint32_t timeline = (uint32_t)strtoul(digits, NULL, 16);
        newest = timeline > newest ? timeline : newest;
    }
    (void)closedir(dir);
    *timeline_out = newest;
    return ERR_OK;
}

/* The LSN behind the label's first place in the text; not behind the end of the line. */
static bool lsn_after(const char *line, const char *label, uint64_t *lsn_out)
{
    const char *found = strstr(line, label);
    char text[LSN_SIZE] = "";

    if (found == NULL) {
        return false;
    }
    found += strlen(label);
    found += strspn(found, " ");
    size_t len = strcspn(found, " ,\n");
    if (len >= sizeof(text)) {
        return false;
    }
    memcpy(text, found, len);
    return position_parse_lsn(text, lsn_out) == ERR_OK;
}
