/* SPDX-License-Identifier: Apache-2.0 */
/* See member_config.h. The file's shape is here (the only user of libcyaml in this folder); its
 * meaning is checked in member_config_check.c. */
#include "config/member_config.h"

#include "base/check.h"
#include "base/mem.h"
#include "config/config_file.h"
#include "config/member_config_yaml.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

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

/* What the parser says of a failure, the first lines of it. */
struct parser_words {
    char text[REASON_SIZE / 2];
};

static void collect_words(cyaml_log_t level, void *ctx, const char *format, va_list arguments);

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

enum error
member_config_load(const char *path, struct reason *reason, struct member_config *config_out)
{
    struct parser_words words = {0};
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
                          "%s: %s: %s see docs/operations.md for the format",
                          path,
                          cyaml_strerror(failure),
                          words.text);
    }
    /* Blanks and comments alone are a valid document, of nothing. */
    if (top == NULL) {
        return reason_set(reason, ERR_CONFIG, "%s: there is no configuration in this file", path);
    }

    struct member_config *config = mem_new(sizeof(*config));
    enum error error = member_config_check(path, top, reason, config);
    if (error == ERR_OK) {
        *config_out = *config;
    }
    mem_free(config);
    CHECK(cyaml_free(&parser, &top_schema, top, 0) == CYAML_OK);
    return error;
}
