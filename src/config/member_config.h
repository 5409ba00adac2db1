/* SPDX-License-Identifier: Apache-2.0 */
/* A member's configuration file: YAML, read once at start. Unknown keys are refused, everything is
 * bounded, and each error says file, field, what is wrong and what to do. The list of members is
 * the founding one: later changes of membership go through the log. */
#ifndef INDABA_CONFIG_MEMBER_CONFIG_H
#define INDABA_CONFIG_MEMBER_CONFIG_H

#include "base/log.h"
#include "base/reason.h"
#include "model/records.h"
#include "raft/types.h"

enum {
    CONFIG_PATH_SIZE = 512,
    CONFIG_LEASE_MS_DEFAULT = 3000,
    CONFIG_LEASE_MS_MIN = 1000,
    CONFIG_LEASE_MS_MAX = 60000,
    CONFIG_HEARTBEAT_MS_DEFAULT = 50,
    CONFIG_ELECTION_MS_DEFAULT = 500,
    CONFIG_SNAPSHOT_KIB_DEFAULT = 16 * 1024,
    CONFIG_SNAPSHOT_KIB_MIN = 64,
    CONFIG_SNAPSHOT_KIB_MAX = 1024 * 1024,
};

struct member_config {
    struct cluster_id cluster;
    char cluster_name[NAME_SIZE];
    uint32_t lease_ms;

    struct member_id member;
    char name[NAME_SIZE];
    char region[NAME_SIZE];
    char dir[CONFIG_PATH_SIZE];

    char listen_api[ADDRESS_SIZE]; /* where this process listens; default: as in `members` */
    char listen_peer[ADDRESS_SIZE];
    char listen_ops[ADDRESS_SIZE];
    char listen_bench[ADDRESS_SIZE]; /* "", or a loopback port without TLS, for benchmarks only */

    struct member members[MEMBERS_MAX]; /* this one included; ascending by id */
    uint32_t members_count;
    struct region regions[REGIONS_MAX];
    uint32_t regions_count;

    char tls_ca[CONFIG_PATH_SIZE];
    char tls_cert[CONFIG_PATH_SIZE];
    char tls_key[CONFIG_PATH_SIZE];

    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint64_t snapshot_bytes; /* growth of the log after which a snapshot is taken */
    enum log_level log_level;
};

/* ERR_CONFIG for a file that cannot be used; `reason` says why. */
MUST_CHECK enum error
member_config_load(const char *path, struct reason *reason, struct member_config *config_out);

/* The Raft configuration that the file's members found: all of them voters. */
void member_config_founding(const struct member_config *config,
                            struct raft_configuration *configuration_out);

/* The member with this id or name; NULL if there is none. Borrowed from the configuration. */
const struct member *member_config_find(const struct member_config *config, struct member_id id);
const struct member *member_config_named(const struct member_config *config, const char *name);

#endif
