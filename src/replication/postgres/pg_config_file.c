/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of an instance, written as whole files. See pg_config_file.h. What is safety is
 * written last and thus wins over the operator's own settings; the rest can be changed by them. */
#include "replication/postgres/pg_config_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_auto_conf.h"
#include "replication/postgres/pg_login.h"
#include "replication/postgres/pg_written.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* The server takes any; ALTER SYSTEM of one long value must not keep it from starting. */
    AUTO_CONF_MAX = 64 * 1024 * 1024
};

#define PLACEHOLDER "indaba_nobody"

/* Whoever sets them: without some, what was acknowledged is lost; others hold a start, a promotion
 * or a standby up, or hide why. */
static const char ALWAYS[] =
    "wal_level = replica\nhot_standby = on\nwal_log_hints = on\nfsync = on\n"
    "full_page_writes = on\nsynchronous_commit = on\nrestart_after_crash = off\n"
    /* One call instead of an fsync of each of a thousand files: a restart after a crash is a second
     * faster. */
    "recovery_init_sync_method = syncfs\n"
    "wal_retrieve_retry_interval = '200ms'\nwal_receiver_status_interval = '1s'\n"
    "wal_receiver_timeout = '5s'\nwal_sender_timeout = '5s'\n"
    "recovery_target_timeline = 'latest'\nrecovery_min_apply_delay = 0\n"
    "promote_trigger_file = ''\nrestore_command = ''\n"
    "recovery_end_command = ''\narchive_cleanup_command = ''\n"
    "logging_collector = off\nlog_destination = 'stderr'\nlc_messages = 'C'\n"
    /* Who logs a line is told before anything that a client chose (pg_words.c). */
    "log_line_prefix = '%m [%p] %b %a '\npassword_encryption = 'scram-sha-256'\n";

/* Databases that the first rules of pg_hba.conf reject: read by the server with each reload. A list
 * may not be empty, and a name of more than 63 bytes is no database's. */
#define DOORS_FILE   "closed.list"
#define DOORS_CLOSED "all replication\n"
#define DOORS_OPEN \
    "nobody_is_rejected_because_no_database_can_have_a_name_that_is_longer_than_this\n"

static enum error write_file(struct work *work,
                             const struct pg_place *place,
                             const char *dir,
                             const char *name,
                             const struct buf *text);
static enum error write_run_file(struct work *work,
                                 const struct pg_place *place,
                                 const char *name,
                                 const struct durable_owner *owner,
                                 const struct buf *text);
static enum error write_if_new(struct work *work,
                               const struct pg_place *place,
                               const char *dir,
                               const char *name,
                               const struct buf *text);
static enum error
write_folder(struct work *work, const struct pg_place *place, const char *data_dir);
static enum error touch_gate(struct work *work, const struct pg_place *place);
static enum error
write_access(struct work *work, const struct pg_place *place, const char *data_dir);
static enum error
read_auto(const struct pg_place *place, const char *path, struct buf *text, size_t *len_out);
static enum error scrub_auto(struct work *work, const struct pg_place *place, const char *data_dir);

char *pg_settings_sync_names(const struct pg_settings *settings, char *text)
{
    const struct sync_pair *pair = &settings->pair;
    char name[SYNC_NAME_SIZE];

    if (!settings->sync) {
        text[0] = '\0';
        return text;
    }
    if (pair->required == 0 || pair->members_count == 0) {
        (void)snprintf(text, PG_NAMES_SIZE, "ANY 1 (" PLACEHOLDER ")");
        return text;
    }
    int len = snprintf(text, PG_NAMES_SIZE, "ANY %" PRIu32 " (", pair->required);
    for (uint32_t i = 0; i < pair->members_count; i++) {
        CHECK(len > 0 && len < PG_NAMES_SIZE);
        len += snprintf(text + len,
                        (size_t)(PG_NAMES_SIZE - len),
                        "%s\"%s\"",
                        i > 0 ? ", " : "",
                        sync_member_name(settings->shard, pair->members[i], name));
    }
    CHECK(len > 0 && len + 1 < PG_NAMES_SIZE);
    text[len] = ')';
    text[len + 1] = '\0';
    return text;
}

enum error
pg_config_write(struct work *work, const struct pg_place *place, const struct pg_settings *settings)
{
    struct buf text = {0};
    char names[PG_NAMES_SIZE];
    char conninfo[PG_TEXT_SIZE];
    char slot[NAME_SIZE] = "";

    if (pg_conninfo(place, settings, conninfo) != ERR_OK) {
        return work_fail(work,
                         ERR_INVALID,
                         "address of the upstream '%s': not a numeric host:port",
                         settings->upstream_address);
    }
    if (settings->upstream.value != 0) {
        (void)pg_slot_name(settings->self.instance, slot);
    }
    buf_printf(
        &text,
        "# Written by indaba on every change; do not edit. Settings of your own belong into\n"
        "# the sidecar's configuration.\n"
        "shared_buffers = '32MB'\nmax_connections = 100\n"
        "max_wal_senders = 16\nmax_replication_slots = 16\n"
        "checkpoint_timeout = '5min'\nwal_keep_size = '256MB'\n"
        "max_slot_wal_keep_size = '4GB'\nclient_connection_check_interval = '10s'\n"
        "log_min_messages = warning\n%s\n",
        place->config.settings);
    buf_printf(&text,
               "listen_addresses = '%s'\nport = %u\nunix_socket_directories = '%s'\n"
               "unix_socket_permissions = 0777\n",
               place->config.listen_addresses,
               place->config.port,
               place->sock);
    buf_append_string(&text, ALWAYS);
    /* A receiver without an application_name goes by cluster_name: it must match no standby. */
    buf_printf(&text,
               "cluster_name = 'indaba-%" PRIu32 "-%" PRIu32
               "'\nsynchronous_standby_names = '%s'\nprimary_conninfo = '%s'\n"
               "primary_slot_name = '%s'\n"
               "include_if_exists 'bounds.conf'\ninclude_if_exists 'gate.conf'\n",
               settings->shard.value,
               settings->self.instance.value,
               pg_settings_sync_names(settings, names),
               conninfo,
               slot);
    struct durable_owner owner = {.uid = geteuid(), .gid = place->user.gid, .mode = 0640};
    enum error error = write_run_file(work, place, "indaba.conf", &owner, &text);
    buf_clear(&text);
    if (error == ERR_OK) {
        buf_printf(&text,
                   "*:*:*:%s:%s\n",
                   place->config.replication_user,
                   place->config.replication_password);
        owner.uid = place->user.uid;
        owner.mode = 0600;
        error = write_run_file(work, place, "pgpass", &owner, &text);
    }
    buf_deinit(&text);
    TRY(error);
    return pg_config_write_doors(work, place, settings->closed);
}

enum error pg_config_write_doors(struct work *work, const struct pg_place *place, bool closed)
{
    struct buf text = {0};

    struct durable_owner owner = {.uid = geteuid(), .gid = place->user.gid, .mode = 0640};
    buf_append_string(&text, closed ? DOORS_CLOSED : DOORS_OPEN);
    enum error error = write_run_file(work, place, DOORS_FILE, &owner, &text);
    buf_deinit(&text);
    return error;
}

enum error pg_config_prepare(struct work *work, const struct pg_place *place, const char *data_dir)
{
    struct buf nothing = {0};

    TRY(write_file(work, place, data_dir, "standby.signal", &nothing));
    return write_folder(work, place, data_dir);
}

enum error pg_config_rewrite(struct work *work, const struct pg_place *place)
{
    return write_folder(work, place, place->data);
}

static enum error
write_folder(struct work *work, const struct pg_place *place, const char *data_dir)
{
    char own[PG_PATH_SIZE * 2];
    char base[PG_PATH_SIZE * 2];
    struct stat status;
    struct buf text = {0};

    (void)snprintf(own, sizeof(own), "%s/postgresql.conf", data_dir);
    (void)snprintf(base, sizeof(base), "%s/postgresql.base.conf", data_dir);
    as_user_enter(&place->user);
    bool kept = lstat(base, &status) == 0 || rename(own, base) == 0;
    as_user_leave(&place->user);
    if (!kept) {
        return work_fail(work, ERR_IO, "cannot keep %.128s aside: %s", own, strerrordesc_np(errno));
    }
    buf_printf(
        &text,
        "# Written by indaba at every start. The file below is written by the sidecar alone;\n"
        "# without it this database does not start: it must not start on its own.\n"
        "include_if_exists 'postgresql.base.conf'\ninclude '%s/indaba.conf'\n",
        place->run);
    enum error error = write_if_new(work, place, data_dir, "postgresql.conf", &text);
    buf_deinit(&text);
    TRY(error);
    TRY(touch_gate(work, place));
    TRY(write_access(work, place, data_dir));
    return scrub_auto(work, place, data_dir);
}

/* The server speaks of an included file that is not there, and hides what else it says. */
static enum error touch_gate(struct work *work, const struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];
    struct buf nothing = {0};
    struct durable_owner us = {.uid = geteuid(), .gid = place->user.gid, .mode = 0640};

    (void)snprintf(path, sizeof(path), "%s/gate.conf", place->run);
    bool is_there = access(path, F_OK) == 0;
    return is_there ? ERR_OK : write_run_file(work, place, "gate.conf", &us, &nothing);
}

static enum error
write_access(struct work *work, const struct pg_place *place, const char *data_dir)
{
    const struct pg_config *config = &place->config;
    struct os_user us = {.name = "root"};
    struct buf text = {0};

    if (os_user_find("", &us) != ERR_OK) {
        return work_fail(work, ERR_SYSTEM, "the user we run as has no name");
    }
    buf_printf(&text,
               "# Written by indaba at every start. While a failover cuts this instance, the list\n"
               "# of databases named below rejects everybody but the sidecar.\n"
               "local all " PG_LOGIN_ROLE " peer map=indaba_self\n"
               "local @%s/" DOORS_FILE " %s peer map=indaba_self\n"
               "local @%s/" DOORS_FILE " all reject\nhost @%s/" DOORS_FILE " all all reject\n"
               "local all %s peer map=indaba\nlocal all all peer\n"
               "host replication %s all scram-sha-256\n%s\n",
               place->run,
               config->superuser,
               place->run,
               place->run,
               config->superuser,
               config->replication_user,
               config->hba);
    enum error error = write_if_new(work, place, data_dir, "pg_hba.conf", &text);
    buf_clear(&text);
    if (error == ERR_OK) {
        buf_printf(&text,
                   "# Written by indaba at every start.\nindaba_self %s " PG_LOGIN_ROLE "\n"
                   "indaba_self %s %s\nindaba %s %s\nindaba %s %s\n",
                   us.name,
                   us.name,
                   config->superuser,
                   us.name,
                   config->superuser,
                   place->user.name,
                   config->superuser);
        error = write_if_new(work, place, data_dir, "pg_ident.conf", &text);
    }
    buf_deinit(&text);
    return error;
}

static enum error scrub_auto(struct work *work, const struct pg_place *place, const char *data_dir)
{
    static const char NAME[] = "postgresql.auto.conf";
    char path[PG_PATH_SIZE * 2];
    struct buf old = {0};
    struct buf kept = {0};
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", data_dir, NAME);
    enum error error = read_auto(place, path, &old, &len);
    if (error == ERR_OK) {
        pg_auto_conf_clean((const char *)old.data, len, &kept);
    }
    if (error == ERR_OK && kept.len != len) {
        error = write_file(work, place, data_dir, NAME, &kept);
    } else if (error == ERR_NOT_FOUND) {
        error = ERR_OK;
    } else if (error != ERR_OK) {
        (void)work_fail(work, error, "cannot read %.128s: %s", path, error_text(error));
    }
    buf_deinit(&old);
    buf_deinit(&kept);
    return error;
}

bool pg_config_auto_is_clean(const struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];
    struct buf text = {0};
    size_t len = 0;
    bool clean = true;

    (void)snprintf(path, sizeof(path), "%s/postgresql.auto.conf", place->data);
    enum error error = read_auto(place, path, &text, &len);
    if (error == ERR_OK) {
        clean = pg_auto_conf_is_clean((const char *)text.data, len);
    }
    buf_deinit(&text);
    return clean;
}

/* As much room as the file has bytes now; it may still grow meanwhile, and is read again then. */
static enum error
read_auto(const struct pg_place *place, const char *path, struct buf *text, size_t *len_out)
{
    struct stat found;

    as_user_enter(&place->user);
    enum error error = stat(path, &found) == 0 ? ERR_OK : ERR_NOT_FOUND;
    if (error == ERR_OK && found.st_size > AUTO_CONF_MAX) {
        error = ERR_LIMIT;
    } else if (error == ERR_OK) {
        size_t room = (size_t)found.st_size + 1;
        buf_reserve(text, room);
        error = durable_file_read(path, text->data, room, len_out);
    }
    as_user_leave(&place->user);
    return error;
}

/* A failover does not wait for a disk to take what it has already. */
static enum error write_if_new(struct work *work,
                               const struct pg_place *place,
                               const char *dir,
                               const char *name,
                               const struct buf *text)
{
    char path[PG_PATH_SIZE * 2];
    struct buf old = {0};
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    buf_reserve(&old, text->len + 1);
    as_user_enter(&place->user);
    bool same = durable_file_read(path, old.data, text->len + 1, &len) == ERR_OK &&
                len == text->len && memcmp(old.data, text->data, len) == 0;
    as_user_leave(&place->user);
    buf_deinit(&old);
    if (same) {
        pg_written_note(place->written, name, text);
        return ERR_OK;
    }
    return write_file(work, place, dir, name, text);
}

/* Into the data folder, with the rights of its owner. */
static enum error write_file(struct work *work,
                             const struct pg_place *place,
                             const char *dir,
                             const char *name,
                             const struct buf *text)
{
    char path[PG_PATH_SIZE * 2];
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    as_user_enter(&place->user);
    enum error error = durable_file_write(path, text->data, text->len, &owner);
    as_user_leave(&place->user);
    if (error != ERR_OK) {
        return work_fail(work, error, "cannot write %.128s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

/* Into the run folder, which is ours. The settings are ours to write and the database's to read; a
 * password file has to be its reader's own. */
static enum error write_run_file(struct work *work,
                                 const struct pg_place *place,
                                 const char *name,
                                 const struct durable_owner *owner,
                                 const struct buf *text)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/%s", place->run, name);
    enum error error = durable_file_write(path, text->data, text->len, owner);
    if (error != ERR_OK) {
        return work_fail(work, error, "cannot write %.128s: %s", path, strerrordesc_np(errno));
    }
    pg_written_note(place->written, name, text);
    pg_written_note(place->written, name, text);
    return ERR_OK;
}
