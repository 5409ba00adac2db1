/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file as the parser leaves it: texts and numbers, unchecked. Shared by
 * member_config.c (the shape) and member_config_check.c (the meaning), nobody else. */
#ifndef INDABA_CONFIG_MEMBER_CONFIG_YAML_H
#define INDABA_CONFIG_MEMBER_CONFIG_YAML_H

#include "base/reason.h"
#include "config/member_config.h"

struct yaml_cluster {
    char *id;
    char *name;
    uint32_t lease_ms;
};

struct yaml_self {
    char *id;
    char *name;
    char *region;
    char *dir;
};

struct yaml_listen {
    char *api;
    char *peer;
    char *ops;
    char *bench;
};

struct yaml_member {
    char *id;
    char *name;
    char *region;
    char *peer;
    char *api;
    char *ops;
};

struct yaml_region {
    char *name;
    char *jurisdiction;
    uint32_t rank;
};

struct yaml_tls {
    char *ca;
    char *cert;
    char *key;
};

struct yaml_timers {
    uint32_t heartbeat_ms;
    uint32_t election_ms;
};

struct yaml_storage {
    uint32_t snapshot_kib;
};

struct yaml_log {
    char *level;
};

struct yaml_top {
    struct yaml_cluster cluster;
    struct yaml_self self;
    struct yaml_listen listen;
    struct yaml_member *members;
    uint32_t members_count;
    struct yaml_region *regions;
    uint32_t regions_count;
    struct yaml_tls tls;
    struct yaml_timers timers;
    struct yaml_storage storage;
    struct yaml_log log;
};

/* Turns it into a configuration. ERR_CONFIG with a text that names file, field and remedy. */
MUST_CHECK enum error member_config_check(const char *path,
                                          const struct yaml_top *top,
                                          struct reason *reason,
                                          struct member_config *config);

#endif
