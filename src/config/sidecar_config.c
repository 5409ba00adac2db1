/* SPDX-License-Identifier: Apache-2.0 */
/* See sidecar_config.h. The shape is libcyaml's schema, the meaning is checked below it. */
#include "config/sidecar_config.h"

#include "base/check.h"
#include "base/mem.h"
#include "config/config_file.h"
#include "config/pg_hba.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

struct yaml_cluster {
    char **members;
    uint32_t members_count;
};

struct yaml_instance {
    char *shard;
    char *name;
    char *region;
    char *dir;
    char *address;
    char *http;
    char *kind;
};

struct yaml_postgres {
    char *bin;
    char *user;
    char *replication_password;
    char *hba;
};

struct yaml_tls {
    char *ca;
    char *cert;
    char *key;
};

struct yaml_log {
    char *level;
};

struct yaml_top {
    struct yaml_cluster cluster;
    struct yaml_instance instance;
    struct yaml_postgres postgres;
    struct yaml_tls tls;
    struct yaml_log log;
};

/* clang-format off */
#define TEXT(key, type, member)                                                                    \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, SIDECAR_PATH_SIZE - 1)
#define TEXT_OPTIONAL(key, type, member)                                                           \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0,         \
                           SIDECAR_PATH_SIZE - 1)

static const cyaml_schema_value_t member_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, ADDRESS_SIZE - 1),
};
static const cyaml_schema_field_t cluster_fields[] = {
    CYAML_FIELD_SEQUENCE("members", CYAML_FLAG_POINTER, struct yaml_cluster, members,
                         &member_schema, 1, SIDECAR_MEMBERS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t instance_fields[] = {
    TEXT("shard", struct yaml_instance, shard),
    TEXT("name", struct yaml_instance, name),
    TEXT("region", struct yaml_instance, region),
    TEXT("dir", struct yaml_instance, dir),
    TEXT("address", struct yaml_instance, address),
    TEXT_OPTIONAL("http", struct yaml_instance, http),
    TEXT_OPTIONAL("kind", struct yaml_instance, kind),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t postgres_fields[] = {
    TEXT_OPTIONAL("bin", struct yaml_postgres, bin),
    TEXT_OPTIONAL("user", struct yaml_postgres, user),
    TEXT_OPTIONAL("replication_password", struct yaml_postgres, replication_password),
    TEXT_OPTIONAL("hba", struct yaml_postgres, hba),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t tls_fields[] = {
    TEXT("ca", struct yaml_tls, ca),
    TEXT("cert", struct yaml_tls, cert),
    TEXT("key", struct yaml_tls, key),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t log_fields[] = {
    TEXT_OPTIONAL("level", struct yaml_log, level),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_MAPPING("cluster", CYAML_FLAG_DEFAULT, struct yaml_top, cluster, cluster_fields),
    CYAML_FIELD_MAPPING("instance", CYAML_FLAG_DEFAULT, struct yaml_top, instance,
                        instance_fields),
    CYAML_FIELD_MAPPING("postgres", CYAML_FLAG_OPTIONAL, struct yaml_top, postgres,
                        postgres_fields),
    CYAML_FIELD_MAPPING("tls", CYAML_FLAG_DEFAULT, struct yaml_top, tls, tls_fields),
    CYAML_FIELD_MAPPING("log", CYAML_FLAG_OPTIONAL, struct yaml_top, log, log_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t top_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_top, top_fields),
};

/* clang-format on */

struct parser_words {
    char text[REASON_SIZE / 2];
};

struct checking {
    const char *path;
    struct reason *reason;
    bool failed;
};

static void collect_words(cyaml_log_t level, void *ctx, const char *format, va_list arguments);
static void
check_all(struct checking *checking, const struct yaml_top *top, struct sidecar_config *to);
static void check_postgres(struct checking *checking,
                           const struct yaml_postgres *from,
                           struct sidecar_config *to);
static void
take(struct checking *checking, const char *field, const char *from, char *to, size_t size);
static void take_name(struct checking *checking, const char *field, const char *from, char *to);
static void take_address(struct checking *checking, const char *field, const char *from, char *to);
static void take_level(struct checking *checking, const char *from, enum log_level *to);
__attribute__((format(printf, 3, 4))) static void
fail(struct checking *checking, const char *field, const char *format, ...);

enum error
sidecar_config_load(const char *path, struct reason *reason, struct sidecar_config *config_out)
{
    struct parser_words words = {{0}};
    const cyaml_config_t parser = {
        .log_fn = collect_words,
        .log_ctx = &words,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    struct buf text = {0};
    if (config_file_read(path, reason, &text) != ERR_OK) {
        buf_deinit(&text);
        return ERR_CONFIG;
    }
    struct yaml_top *top = NULL;
    cyaml_err_t failure = cyaml_load_data(
        text.data, text.len, &parser, &top_schema, (cyaml_data_t **)(void *)&top, NULL);
    buf_deinit(&text);
    if (failure != CYAML_OK) {
        return reason_set(reason,
                          ERR_CONFIG,
                          "%s: %s: %s (docs/operations.md lists the keys)",
                          path,
                          cyaml_strerror(failure),
                          words.text);
    }
    /* Blanks and comments alone are a valid document, of nothing. */
    if (top == NULL) {
        return reason_set(reason, ERR_CONFIG, "%s: there is no configuration in this file", path);
    }
    struct sidecar_config config;
    memset(&config, 0, sizeof(config));
    struct checking checking = {.path = path, .reason = reason};
    check_all(&checking, top, &config);
    (void)cyaml_free(&parser, &top_schema, top, 0);
    if (checking.failed) {
        return ERR_CONFIG;
    }
    *config_out = config;
    return ERR_OK;
}

__attribute__((format(printf, 3, 0))) static void
collect_words(cyaml_log_t level, void *ctx, const char *format, va_list arguments)
{
    struct parser_words *words = ctx;
    size_t len = strlen(words->text);
    if (level < CYAML_LOG_ERROR || len + 2 >= sizeof(words->text)) {
        return;
    }
    (void)vsnprintf(words->text + len, sizeof(words->text) - len, format, arguments);
    for (char *at = words->text + len; *at != '\0'; at++) {
        if (*at == '\n') {
            *at = ';';
        }
    }
}

static void
check_all(struct checking *checking, const struct yaml_top *top, struct sidecar_config *to)
{
    CHECK(top->cluster.members_count <= SIDECAR_MEMBERS_MAX);
    for (uint32_t i = 0; i < top->cluster.members_count; i++) {
        take_address(checking, "cluster.members", top->cluster.members[i], to->members[i]);
        to->members_count++;
    }
    take_name(checking, "instance.shard", top->instance.shard, to->shard);
    take_name(checking, "instance.name", top->instance.name, to->name);
    take_name(checking, "instance.region", top->instance.region, to->region);
    take(checking, "instance.dir", top->instance.dir, to->dir, sizeof(to->dir));
    take_address(checking, "instance.address", top->instance.address, to->address);
    if (top->instance.http != NULL) {
        take_address(checking, "instance.http", top->instance.http, to->http_address);
    }
    const char *kind = top->instance.kind == NULL ? "postgres" : top->instance.kind;
    take_name(checking, "instance.kind", kind, to->kind);
    if (strcmp(kind, "postgres") == 0) {
        check_postgres(checking, &top->postgres, to);
    }
    take(checking, "tls.ca", top->tls.ca, to->tls_ca, sizeof(to->tls_ca));
    take(checking, "tls.cert", top->tls.cert, to->tls_cert, sizeof(to->tls_cert));
    take(checking, "tls.key", top->tls.key, to->tls_key, sizeof(to->tls_key));
    take_level(checking, top->log.level, &to->log_level);
    if (!checking->failed && to->dir[0] != '/') {
        fail(checking, "instance.dir", "'%s' is not an absolute path", to->dir);
    }
    if (!checking->failed && strlen(to->dir) > 70) {
        /* A Unix socket's path has 107 bytes and PostgreSQL adds its own name. */
        fail(checking, "instance.dir", "'%s' is longer than 70 bytes", to->dir);
    }
}

static void check_postgres(struct checking *checking,
                           const struct yaml_postgres *from,
                           struct sidecar_config *to)
{
    const char *bin = from->bin == NULL ? "/usr/lib/postgresql/15/bin" : from->bin;
    const char *user = from->user == NULL ? "postgres" : from->user;
    take(checking, "postgres.bin", bin, to->postgres_bin, sizeof(to->postgres_bin));
    take_name(checking, "postgres.user", user, to->postgres_user);
    if (from->replication_password == NULL) {
        fail(checking,
             "postgres.replication_password",
             "is missing; it is the same on every instance of the shard");
        return;
    }
    take(checking,
         "postgres.replication_password",
         from->replication_password,
         to->replication_password,
         sizeof(to->replication_password));
    if (from->hba != NULL) {
        struct reason wrong = {0};
        take(checking, "postgres.hba", from->hba, to->hba_extra, sizeof(to->hba_extra));
        if (!checking->failed && pg_hba_check(to->hba_extra, &wrong) != ERR_OK) {
            fail(checking, "postgres.hba", "%s", wrong.text);
        }
    }
}

static void
take(struct checking *checking, const char *field, const char *from, char *to, size_t size)
{
    size_t len = strlen(from);
    if (len == 0 || len >= size) {
        fail(checking, field, "must have 1 to %zu bytes", size - 1);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)from[i] < 0x20) {
            fail(checking, field, "has a control character");
            return;
        }
    }
    memcpy(to, from, len + 1);
}

static void take_name(struct checking *checking, const char *field, const char *from, char *to)
{
    if (!name_is_valid(from)) {
        fail(checking,
             field,
             "'%.80s' is no name: use 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit",
             from);
        return;
    }
    take(checking, field, from, to, NAME_SIZE);
}

static void take_address(struct checking *checking, const char *field, const char *from, char *to)
{
    if (!address_is_valid(from)) {
        fail(checking,
             field,
             "'%.80s' is not a numeric HOST:PORT (names are not resolved: a resolver that hangs "
             "must not stop a failover)",
             from);
        return;
    }
    take(checking, field, from, to, ADDRESS_SIZE);
}

static void take_level(struct checking *checking, const char *from, enum log_level *to)
{
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    *to = LOG_INFO;
    if (from == NULL) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++) {
        if (strcmp(from, LEVELS[i]) == 0) {
            *to = (enum log_level)i;
            return;
        }
    }
    fail(checking, "log.level", "'%.80s' is none of debug, info, warn, error", from);
}

static void fail(struct checking *checking, const char *field, const char *format, ...)
{
    if (checking->failed) {
        return; /* the first one is told */
    }
    checking->failed = true;
    char what[REASON_SIZE / 2];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    reason_say(checking->reason, "%s: %s: %s", checking->path, field, what);
}
