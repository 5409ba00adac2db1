/* SPDX-License-Identifier: Apache-2.0 */
/* See member_config.h. The file's shape is here; its meaning is checked in member_config_check.c.
 */
#include "config/member_config.h"

#include "base/mem.h"
#include "config/config_yaml.h"
#include "config/member_config_yaml.h"

#include <cyaml/cyaml.h>

#define TEXT(key, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, CONFIG_PATH_SIZE - 1)
#define TEXT_OPTIONAL(key, type, member) \
    CYAML_FIELD_STRING_PTR(              \
        key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, CONFIG_PATH_SIZE - 1)
#define NUMBER(key, type, member) CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, type, member)

static const cyaml_schema_field_t cluster_fields[] = {
    TEXT("id", struct yaml_cluster, id),
    TEXT("name", struct yaml_cluster, name),
    NUMBER("lease_ms", struct yaml_cluster, lease_ms),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t self_fields[] = {
    TEXT_OPTIONAL("id", struct yaml_self, id),
    TEXT("name", struct yaml_self, name),
    TEXT_OPTIONAL("region", struct yaml_self, region),
    TEXT("dir", struct yaml_self, dir),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t listen_fields[] = {
    TEXT_OPTIONAL("api", struct yaml_listen, api),
    TEXT_OPTIONAL("peer", struct yaml_listen, peer),
    TEXT_OPTIONAL("ops", struct yaml_listen, ops),
    TEXT_OPTIONAL("bench_without_tls", struct yaml_listen, bench),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t member_fields[] = {
    TEXT("id", struct yaml_member, id),
    TEXT("name", struct yaml_member, name),
    TEXT("region", struct yaml_member, region),
    TEXT("peer", struct yaml_member, peer),
    TEXT("api", struct yaml_member, api),
    TEXT("ops", struct yaml_member, ops),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t member_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_member, member_fields),
};

static const cyaml_schema_field_t region_fields[] = {
    TEXT("name", struct yaml_region, name),
    TEXT_OPTIONAL("jurisdiction", struct yaml_region, jurisdiction),
    NUMBER("rank", struct yaml_region, rank),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t region_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_region, region_fields),
};

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("ca", struct yaml_tls, ca),
    TEXT("cert", struct yaml_tls, cert),
    TEXT("key", struct yaml_tls, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t timer_fields[] = {
    NUMBER("heartbeat_ms", struct yaml_timers, heartbeat_ms),
    NUMBER("election_ms", struct yaml_timers, election_ms),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t storage_fields[] = {
    NUMBER("snapshot_kib", struct yaml_storage, snapshot_kib),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_fields[] = {
    TEXT_OPTIONAL("level", struct yaml_log, level),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_MAPPING("cluster", CYAML_FLAG_DEFAULT, struct yaml_top, cluster, cluster_fields),
    CYAML_FIELD_MAPPING("member", CYAML_FLAG_DEFAULT, struct yaml_top, self, self_fields),
    CYAML_FIELD_MAPPING("listen", CYAML_FLAG_OPTIONAL, struct yaml_top, listen, listen_fields),
    CYAML_FIELD_SEQUENCE(
        "members", CYAML_FLAG_POINTER, struct yaml_top, members, &member_schema, 1, MEMBERS_MAX),
    CYAML_FIELD_SEQUENCE(
        "regions", CYAML_FLAG_POINTER, struct yaml_top, regions, &region_schema, 1, REGIONS_MAX),
    CYAML_FIELD_MAPPING("tls", CYAML_FLAG_DEFAULT, struct yaml_top, tls, tls_fields),
    CYAML_FIELD_MAPPING("timers", CYAML_FLAG_OPTIONAL, struct yaml_top, timers, timer_fields),
    CYAML_FIELD_MAPPING("storage", CYAML_FLAG_OPTIONAL, struct yaml_top, storage, storage_fields),
    CYAML_FIELD_MAPPING("log", CYAML_FLAG_OPTIONAL, struct yaml_top, log, log_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_top, top_fields),
};

enum error
member_config_load(const char *path, struct reason *reason, struct member_config *config_out)
{
    void *top = NULL;
    TRY(config_yaml_load(path, &top_schema, reason, &top));
    struct member_config *config = mem_new(sizeof(*config));
    enum error error = member_config_check(path, top, reason, config);
    if (error == ERR_OK) {
        *config_out = *config;
    }
    mem_free(config);
    config_yaml_free(&top_schema, top);
    return error;
}
