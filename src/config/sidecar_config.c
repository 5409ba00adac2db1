/* SPDX-License-Identifier: Apache-2.0 */
/* See sidecar_config.h. The shape is libcyaml's schema, the meaning is checked below it. */
#include "config/sidecar_config.h"

#include "base/check.h"
#include "config/config_yaml.h"
#include "config/pg_hba.h"

#include <cyaml/cyaml.h>
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
    char *gate;
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
    TEXT_OPTIONAL("gate", struct yaml_postgres, gate),
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

static void
check_all(struct config_check *check, const struct yaml_top *top, struct sidecar_config *to);
static void check_postgres(struct config_check *check,
                           const struct yaml_postgres *from,
                           struct sidecar_config *to);

enum error
sidecar_config_load(const char *path, struct reason *reason, struct sidecar_config *config_out)
{
    void *top = NULL;
    TRY(config_yaml_load(path, &top_schema, reason, &top));
    struct sidecar_config config;
    memset(&config, 0, sizeof(config));
    struct config_check check = {.path = path, .reason = reason};
    check_all(&check, top, &config);
    config_yaml_free(&top_schema, top);
    if (check.failed) {
        return ERR_CONFIG;
    }
    *config_out = config;
    return ERR_OK;
}

static void
check_all(struct config_check *check, const struct yaml_top *top, struct sidecar_config *to)
{
    CHECK(top->cluster.members_count <= SIDECAR_MEMBERS_MAX);
    for (uint32_t i = 0; i < top->cluster.members_count; i++) {
        config_take_address(check, "cluster.members", top->cluster.members[i], to->members[i]);
        to->members_count++;
    }
    config_take_name(check, "instance.shard", top->instance.shard, to->shard);
    config_take_name(check, "instance.name", top->instance.name, to->name);
    config_take_name(check, "instance.region", top->instance.region, to->region);
    config_take(check, "instance.dir", top->instance.dir, to->dir, sizeof(to->dir));
    config_take_address(check, "instance.address", top->instance.address, to->address);
    if (top->instance.http != NULL) {
        config_take_address(check, "instance.http", top->instance.http, to->http_address);
    }
    const char *kind = top->instance.kind == NULL ? "postgres" : top->instance.kind;
    config_take_name(check, "instance.kind", kind, to->kind);
    if (strcmp(kind, "postgres") == 0) {
        check_postgres(check, &top->postgres, to);
    }
    config_take(check, "tls.ca", top->tls.ca, to->tls_ca, sizeof(to->tls_ca));
    config_take(check, "tls.cert", top->tls.cert, to->tls_cert, sizeof(to->tls_cert));
    config_take(check, "tls.key", top->tls.key, to->tls_key, sizeof(to->tls_key));
    config_take_level(check, top->log.level, &to->log_level);
    if (!check->failed && to->dir[0] != '/') {
        config_refuse(check, "instance.dir", "'%s' is not an absolute path", to->dir);
    }
    if (!check->failed && strlen(to->dir) > 70) {
        /* A Unix socket's path has 107 bytes and PostgreSQL adds its own name. */
        config_refuse(check, "instance.dir", "'%s' is longer than 70 bytes", to->dir);
    }
}

static void check_postgres(struct config_check *check,
                           const struct yaml_postgres *from,
                           struct sidecar_config *to)
{
    const char *bin = from->bin == NULL ? "/usr/lib/postgresql/15/bin" : from->bin;
    const char *user = from->user == NULL ? "postgres" : from->user;
    config_take(check, "postgres.bin", bin, to->postgres_bin, sizeof(to->postgres_bin));
    config_take_name(check, "postgres.user", user, to->postgres_user);
    const char *gate = from->gate == NULL ? "off" : from->gate;
    config_take(check, "postgres.gate", gate, to->gate, sizeof(to->gate));
    if (!check->failed && strcmp(to->gate, "on") != 0 && strcmp(to->gate, "off") != 0 &&
        strcmp(to->gate, "required") != 0) {
        config_refuse(check, "postgres.gate", "'%s': on, off or required", to->gate);
    }
    if (from->replication_password == NULL) {
        config_refuse(check,
                      "postgres.replication_password",
                      "is missing; it is the same on every instance of the shard");
        return;
    }
    config_take(check,
                "postgres.replication_password",
                from->replication_password,
                to->replication_password,
                sizeof(to->replication_password));
    if (from->hba != NULL) {
        struct reason wrong = {0};
        config_take(check, "postgres.hba", from->hba, to->hba_extra, sizeof(to->hba_extra));
        if (!check->failed && pg_hba_check(to->hba_extra, &wrong) != ERR_OK) {
            config_refuse(check, "postgres.hba", "%s", wrong.text);
        }
    }
}
