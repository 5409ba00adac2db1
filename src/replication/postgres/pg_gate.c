/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_gate.h. shared_preload_libraries is one list, and the last file that sets it wins: ours,
 * unless postgresql.auto.conf does, which is read after all others. So what everybody else has set
 * is asked of the server's program under files without ours, and our library is put behind it, in
 * our file and in the line of ALTER SYSTEM if there is one. */
#include "replication/postgres/pg_gate.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"
#include "indaba/gate_image.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_bounds.h"
#include "replication/postgres/pg_files.h"
#include "replication/proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SETTING    "shared_preload_libraries"
#define TRIAL_CONF "gate_trial.conf"
#define AUTO_CONF  "postgresql.auto.conf"

enum {
    TRIAL_MS = 5000,
};

static enum error
load(struct work *work, const struct pg_place *place, bool has_page, const char *library);
static enum error unload(struct work *work, const struct pg_place *place, const char *library);
static enum error write_image(struct work *work, const struct pg_place *place, const char *library);
static enum error ask_others(struct work *work, const struct pg_place *place, char *list);
static enum error try_list(struct work *work, const struct pg_place *place, const char *list);
static enum error set_list(struct work *work, const struct pg_place *place, const char *list);
static enum error set_auto(struct work *work, const struct pg_place *place, const char *list);
static enum error write_ours(struct work *work,
                             const char *path,
                             const struct slice *data,
                             const struct pg_place *place);
static void quote(const char *list, struct buf *text);
static bool is_ours(const char *item, size_t len);

enum error
pg_gate_prepare(struct work *work, const struct pg_place *place, bool has_page, char *why)
{
    char library[PG_PATH_SIZE * 2];
    char reason[PG_GATE_WHY_SIZE] = "it is switched off in the sidecar's configuration";
    enum pg_gate_wish wish = place->config.gate;

    (void)snprintf(library, sizeof(library), "%s/" PG_GATE_LIBRARY, place->run);
    if (wish != PG_GATE_OFF) {
        if (load(work, place, has_page, library) == ERR_OK) {
            why[0] = '\0';
            return ERR_OK;
        }
        (void)snprintf(reason, sizeof(reason), "%s", work->message);
        log_event(LOG_WARN, "gate.not_loaded", "why=%s", log_quote(reason));
    }
    (void)snprintf(why, PG_GATE_WHY_SIZE, "%s", reason);
    /* What is left of it must not keep the server from starting. */
    TRY(unload(work, place, library));
    if (wish == PG_GATE_REQUIRED) {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "not started without the commit gate, which is required: %.150s",
                         reason);
    }
    return ERR_OK;
}

enum error pg_gate_list(const char *configured, const char *library, char *list)
{
    size_t len = 0;

    list[0] = '\0';
    for (const char *at = configured; *at != '\0';) {
        size_t item = 0;
        bool quoted = false;
        for (; at[item] != '\0' && (quoted || at[item] != ','); item++) {
            quoted = quoted != (at[item] == '"');
        }
        size_t blanks = strspn(at, " \t\n\r");
        blanks = blanks < item ? blanks : item;
        if (item > blanks && !is_ours(at + blanks, item - blanks)) {
            int added = snprintf(list + len,
                                 PG_TEXT_SIZE - len,
                                 "%s%.*s",
                                 len > 0 ? ", " : "",
                                 (int)(item - blanks),
                                 at + blanks);
            if (added < 0 || (size_t)added >= PG_TEXT_SIZE - len) {
                return ERR_LIMIT;
            }
            len += (size_t)added;
        }
        at += item + (at[item] == ',' ? 1 : 0);
    }
    if (library != NULL) {
        int added =
            snprintf(list + len, PG_TEXT_SIZE - len, "%s\"%s\"", len > 0 ? ", " : "", library);
        if (added < 0 || (size_t)added >= PG_TEXT_SIZE - len) {
            return ERR_LIMIT;
        }
    }
    return ERR_OK;
}

static enum error
load(struct work *work, const struct pg_place *place, bool has_page, const char *library)
{
    char others[PG_TEXT_SIZE];
    char list[PG_TEXT_SIZE];

    if (!has_page) {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "its guardian has no page for it: an older version, or a kernel without "
                         "sealed memory");
    }
    TRY(ask_others(work, place, others));
    TRY(write_image(work, place, library));
    if (pg_gate_list(others, library, list) != ERR_OK) {
        return work_fail(work, ERR_LIMIT, SETTING " is too long");
    }
    TRY(try_list(work, place, list));
    return set_list(work, place, list);
}

static enum error unload(struct work *work, const struct pg_place *place, const char *library)
{
    struct buf automatic = {0};
    char path[PG_PATH_SIZE * 2];
    char others[PG_TEXT_SIZE];

    (void)snprintf(path, sizeof(path), "%s/" PG_GATE_CONF, place->run);
    struct slice nothing = slice_of("", 0);
    (void)unlink(library);
    TRY(write_ours(work, path, &nothing, place));
    enum error error = pg_files_read_conf(work, place, AUTO_CONF, &automatic);
    bool named = error == ERR_OK && strstr((const char *)automatic.data, PG_GATE_LIBRARY) != NULL;
    buf_deinit(&automatic);
    if (!named) {
        return error;
    }
    TRY(ask_others(work, place, others));
    return set_auto(work, place, others);
}

/* A new file each time that it differs: a server may still run with the old one. */
static enum error write_image(struct work *work, const struct pg_place *place, const char *library)
{
    struct slice image = slice_of(gate_image, sizeof(gate_image));

    return write_ours(work, library, &image, place);
}

/* Where our own files say nothing of it, nobody has to be asked. */
static enum error ask_others(struct work *work, const struct pg_place *place, char *list)
{
    char program[PG_PATH_SIZE * 2];
    char trial[PG_PATH_SIZE * 2];
    char config_file[PG_PATH_SIZE * 3];
    struct buf base = {0};
    struct buf automatic = {0};
    struct buf text = {0};

    (void)snprintf(program, sizeof(program), "%s/postgres", place->config.bin_dir);
    (void)snprintf(trial, sizeof(trial), "%s/" TRIAL_CONF, place->run);
    (void)snprintf(config_file, sizeof(config_file), "config_file=%s", trial);
    list[0] = '\0';
    enum error error = pg_files_read_conf(work, place, "postgresql.base.conf", &base);
    error = error == ERR_OK ? pg_files_read_conf(work, place, AUTO_CONF, &automatic) : error;
    bool asks = error == ERR_OK && (pg_bounds_may_set((const char *)base.data, SETTING) ||
                                    pg_bounds_may_set((const char *)automatic.data, SETTING) ||
                                    pg_bounds_may_set(place->config.settings, SETTING));
    buf_printf(&text,
               "include_if_exists '%s/postgresql.base.conf'\n%s\n",
               place->data,
               place->config.settings);
    struct slice data = slice_of(text.data, text.len);
    error = error == ERR_OK ? write_ours(work, trial, &data, place) : error;
    if (error == ERR_OK && asks) {
        const char *const argv[] = {
            program, "-D", place->data, "-c", config_file, "-C", SETTING, NULL};
        struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = TRIAL_MS};
        struct buf output = {0};
        error = proc_run(work, &request, &output);
        buf_append(&output, "", 1);
        ((char *)output.data)[strcspn((const char *)output.data, "\n")] = '\0';
        if (error == ERR_OK && pg_gate_list((const char *)output.data, NULL, list) != ERR_OK) {
            error = work_fail(work, ERR_LIMIT, SETTING " is too long");
        }
        buf_deinit(&output);
    }
    buf_deinit(&base);
    buf_deinit(&automatic);
    buf_deinit(&text);
    return error;
}

/* What is computed from what libraries ask for is told only after they were loaded; nothing is
 * started for it. */
static enum error try_list(struct work *work, const struct pg_place *place, const char *list)
{
    char program[PG_PATH_SIZE * 2];
    char config_file[PG_PATH_SIZE * 3];
    char setting[PG_TEXT_SIZE + 64];

    (void)snprintf(program, sizeof(program), "%s/postgres", place->config.bin_dir);
    (void)snprintf(config_file, sizeof(config_file), "config_file=%s/" TRIAL_CONF, place->run);
    (void)snprintf(setting, sizeof(setting), SETTING "=%s", list);
    const char *const argv[] = {program,
                                "-D",
                                place->data,
                                "-c",
                                config_file,
                                "-c",
                                setting,
                                "-C",
                                "shared_memory_size",
                                NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = TRIAL_MS};

    return proc_run(work, &request, NULL);
}

static enum error set_list(struct work *work, const struct pg_place *place, const char *list)
{
    char path[PG_PATH_SIZE * 2];
    struct buf text = {0};

    TRY(set_auto(work, place, list));
    (void)snprintf(path, sizeof(path), "%s/" PG_GATE_CONF, place->run);
    quote(list, &text);
    struct slice data = slice_of(text.data, text.len);
    enum error error = write_ours(work, path, &data, place);
    buf_deinit(&text);
    return error;
}

/* Every line of ALTER SYSTEM that sets it, if there is one, gets `list`. */
static enum error set_auto(struct work *work, const struct pg_place *place, const char *list)
{
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};
    char path[PG_PATH_SIZE * 2];
    struct buf old = {0};
    struct buf text = {0};

    (void)snprintf(path, sizeof(path), "%s/" AUTO_CONF, place->data);
    enum error error = pg_files_read_conf(work, place, AUTO_CONF, &old);
    for (const char *line = (const char *)old.data; error == ERR_OK && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        len += line[len] == '\n' ? 1 : 0;
        if (pg_bounds_line_sets(line, SETTING)) {
            quote(list, &text);
        } else {
            buf_append(&text, line, len);
        }
        line += len;
    }
    bool same = error != ERR_OK || text.len == 0 ||
                (text.len + 1 == old.len && memcmp(text.data, old.data, text.len) == 0);
    if (!same) {
        as_user_enter(&place->user);
        error = durable_file_write(path, text.data, text.len, &owner);
        as_user_leave(&place->user);
        if (error != ERR_OK) {
            (void)work_fail(work, error, "cannot write %.128s: %s", path, strerrordesc_np(errno));
        }
    }
    buf_deinit(&old);
    buf_deinit(&text);
    return error;
}

/* Into the run folder, unless it is there as it should be: nobody waits for a disk for nothing. */
static enum error write_ours(struct work *work,
                             const char *path,
                             const struct slice *data,
                             const struct pg_place *place)
{
    struct durable_owner owner = {.uid = geteuid(), .gid = place->user.gid, .mode = 0640};
    struct buf old = {0};
    size_t len = 0;

    buf_reserve(&old, data->len + 1);
    bool same = durable_file_read(path, old.data, data->len + 1, &len) == ERR_OK &&
                len == data->len && (len == 0 || memcmp(old.data, data->data, len) == 0);
    buf_deinit(&old);
    if (!same && durable_file_write(path, data->data, data->len, &owner) != ERR_OK) {
        return work_fail(work, ERR_IO, "cannot write %.128s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

static void quote(const char *list, struct buf *text)
{
    buf_append_string(text, SETTING " = '");
    for (const char *at = list; *at != '\0'; at++) {
        buf_append(text, at, 1);
        if (*at == '\'' || *at == '\\') {
            buf_append(text, at, 1);
        }
    }
    buf_append_string(text, "'\n");
}

/* Whatever folder it is said to be in: a copy of an instance brings the path of its origin. */
static bool is_ours(const char *item, size_t len)
{
    static const char NAME[] = "indaba_gate";
    size_t name_len = sizeof(NAME) - 1;

    for (size_t i = 0; i + name_len <= len; i++) {
        bool begins = i == 0 || item[i - 1] == '/' || item[i - 1] == '"';
        char after = (char)(i + name_len < len ? item[i + name_len] : '\0');
        if (begins && strncmp(item + i, NAME, name_len) == 0 &&
            (after == '\0' || strchr(".\" \t", after) != NULL)) {
            return true;
        }
    }
    return false;
}
