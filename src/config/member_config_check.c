/* SPDX-License-Identifier: Apache-2.0 */
/* The meaning of the configuration file: ids, names, addresses, ranges, and that the parts agree
 * with each other. The first thing that is wrong is reported, with its field path. */
#include "config/config_yaml.h"
#include "config/member_config_yaml.h"

#include "base/check.h"
#include "model/address.h"
#include "rpc/net.h"

#include <stdio.h>
#include <string.h>

static void check_cluster(struct config_check *check,
                          const struct yaml_cluster *yaml,
                          struct member_config *config);
static void
check_members(struct config_check *check, const struct yaml_top *top, struct member_config *config);
static void
check_regions(struct config_check *check, const struct yaml_top *top, struct member_config *config);
static void
check_self(struct config_check *check, const struct yaml_top *top, struct member_config *config);
static void
check_timers(struct config_check *check, const struct yaml_top *top, struct member_config *config);
static void check_storage(struct config_check *check,
                          const struct yaml_storage *storage,
                          struct member_config *config);
static void sort_members(struct member_config *config);
static bool regions_know(const struct member_config *config, const char *name);
static void take_listen(struct config_check *check, const char *field, const char *text, char *to);
static void
take_loopback(struct config_check *check, const char *field, const char *text, char *to);
static void take_id(struct config_check *check, const char *field, const char *text, uint64_t *id);

enum error member_config_check(const char *path,
                               const struct yaml_top *top,
                               struct reason *reason,
                               struct member_config *config)
{
    struct config_check check = {.path = path, .reason = reason};
    check_cluster(&check, &top->cluster, config);
    check_regions(&check, top, config);
    check_members(&check, top, config);
    check_self(&check, top, config);
    config_take(&check, "tls.ca", top->tls.ca, config->tls_ca, sizeof(config->tls_ca));
    config_take(&check, "tls.cert", top->tls.cert, config->tls_cert, sizeof(config->tls_cert));
    config_take(&check, "tls.key", top->tls.key, config->tls_key, sizeof(config->tls_key));
    check_timers(&check, top, config);
    check_storage(&check, &top->storage, config);
    config_take_level(&check, top->log.level, &config->log_level);
    return check.failed ? ERR_CONFIG : ERR_OK;
}

void member_config_founding(const struct member_config *config,
                            struct raft_configuration *configuration_out)
{
    CHECK(config->members_count <= RAFT_SERVERS_MAX);
    memset(configuration_out, 0, sizeof(*configuration_out));
    for (uint32_t i = 0; i < config->members_count; i++) {
        uint32_t region = 0;
        for (uint32_t at = 0; at < config->regions_count; at++) {
            if (strcmp(config->regions[at].name, config->members[i].region) == 0) {
                region = at + 1;
            }
        }
        configuration_out->servers[i] =
            (struct raft_server){.id = config->members[i].id, .voter = true, .region = region};
    }
    configuration_out->count = config->members_count;
}

const struct member *member_config_find(const struct member_config *config, struct member_id id)
{
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (member_id_equal(config->members[i].id, id)) {
            return &config->members[i];
        }
    }
    return NULL;
}

const struct member *member_config_named(const struct member_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (strcmp(config->members[i].name, name) == 0) {
            return &config->members[i];
        }
    }
    return NULL;
}

static void check_cluster(struct config_check *check,
                          const struct yaml_cluster *yaml,
                          struct member_config *config)
{
    uint64_t id[2] = {0};
    take_id(check, "cluster.id", yaml->id, id);
    config->cluster = (struct cluster_id){.hi = id[0], .lo = id[1]};
    config_take_name(check, "cluster.name", yaml->name, config->cluster_name);
    config->lease_ms = yaml->lease_ms == 0 ? CONFIG_LEASE_MS_DEFAULT : yaml->lease_ms;
    if (config->lease_ms < CONFIG_LEASE_MS_MIN || config->lease_ms > CONFIG_LEASE_MS_MAX) {
        config_refuse(check,
                      "cluster.lease_ms",
                      "%u is outside %d to %d",
                      config->lease_ms,
                      CONFIG_LEASE_MS_MIN,
                      CONFIG_LEASE_MS_MAX);
    }
}

static void
check_regions(struct config_check *check, const struct yaml_top *top, struct member_config *config)
{
    for (uint32_t i = 0; i < top->regions_count; i++) {
        const struct yaml_region *yaml = &top->regions[i];
        struct region *region = &config->regions[i];
        config_take_name(check, "regions[].name", yaml->name, region->name);
        if (yaml->jurisdiction != NULL && yaml->jurisdiction[0] != '\0') {
            config_take_name(
                check, "regions[].jurisdiction", yaml->jurisdiction, region->jurisdiction);
        }
        region->id = (struct region_id){.value = i + 1};
        region->rank = yaml->rank;
        region->state = REGION_ACTIVE;
        if (regions_know(config, region->name)) {
            config_refuse(
                check, "regions[].name", "\"%s\" is there twice: remove one", region->name);
        }
        config->regions_count++;
    }
}

static void
check_members(struct config_check *check, const struct yaml_top *top, struct member_config *config)
{
    for (uint32_t i = 0; i < top->members_count; i++) {
        const struct yaml_member *yaml = &top->members[i];
        struct member *member = &config->members[i];
        uint64_t id[2] = {0};
        take_id(check, "members[].id", yaml->id, id);
        config_take_name(check, "members[].name", yaml->name, member->name);
        config_take_name(check, "members[].region", yaml->region, member->region);
        config_take_address(check, "members[].peer", yaml->peer, member->peer_address);
        config_take_address(check, "members[].api", yaml->api, member->api_address);
        config_take_address(check, "members[].ops", yaml->ops, member->ops_address);
        member->id = (struct member_id){.hi = id[0], .lo = id[1]};
        if (!regions_know(config, member->region)) {
            config_refuse(check,
                          "members[].region",
                          "\"%s\" of member %s is not among regions: add it there",
                          member->region,
                          member->name);
        }
        if (member_config_find(config, member->id) != NULL ||
            member_config_named(config, member->name) != NULL) {
            config_refuse(check, "members[]", "id or name of %s is there twice", member->name);
        }
        const char *where = NULL;
        const char *whose = address_taken(config->members, i, member, &where);
        if (whose != NULL) {
            config_refuse(
                check, "members[]", "%s of %s is one of %s already", where, member->name, whose);
        }
        config->members_count++;
    }
    sort_members(config);
}

static void
check_self(struct config_check *check, const struct yaml_top *top, struct member_config *config)
{
    config_take_name(check, "member.name", top->self.name, config->name);
    config_take(check, "member.dir", top->self.dir, config->dir, sizeof(config->dir));
    const struct member *self = member_config_named(config, config->name);
    if (self == NULL) {
        config_refuse(
            check, "member.name", "\"%s\" is not among members: add it there", config->name);
        return;
    }
    config->member = self->id;
    (void)snprintf(config->region, sizeof(config->region), "%s", self->region);
    if (top->self.region != NULL && strcmp(top->self.region, self->region) != 0) {
        config_refuse(check, "member.region", "differs from the one in members: make them equal");
    }
    if (top->self.id != NULL) {
        uint64_t id[2] = {0};
        take_id(check, "member.id", top->self.id, id);
        if (id[0] != self->id.hi || id[1] != self->id.lo) {
            config_refuse(check, "member.id", "differs from the one in members: make them equal");
        }
    }
    const struct yaml_listen *listen = &top->listen;
    take_listen(check,
                "listen.api",
                listen->api == NULL ? self->api_address : listen->api,
                config->listen_api);
    take_listen(check,
                "listen.peer",
                listen->peer == NULL ? self->peer_address : listen->peer,
                config->listen_peer);
    take_listen(check,
                "listen.ops",
                listen->ops == NULL ? self->ops_address : listen->ops,
                config->listen_ops);
    if (listen->bench != NULL) {
        take_loopback(check, "listen.bench_without_tls", listen->bench, config->listen_bench);
    }
}

static void
check_timers(struct config_check *check, const struct yaml_top *top, struct member_config *config)
{
    const struct yaml_timers *timers = &top->timers;
    config->heartbeat_ms =
        timers->heartbeat_ms == 0 ? CONFIG_HEARTBEAT_MS_DEFAULT : timers->heartbeat_ms;
    config->election_ms =
        timers->election_ms == 0 ? CONFIG_ELECTION_MS_DEFAULT : timers->election_ms;
    if (config->heartbeat_ms < TIMER_HEARTBEAT_MS_MIN ||
        config->heartbeat_ms > TIMER_HEARTBEAT_MS_MAX) {
        config_refuse(
            check, "timers.heartbeat_ms", "%u is outside 5 to 5000", config->heartbeat_ms);
    }
    if (config->election_ms < 4 * config->heartbeat_ms ||
        config->election_ms > TIMER_ELECTION_MS_MAX) {
        config_refuse(check,
                      "timers.election_ms",
                      "%u is outside %u (4 heartbeats) to 60000",
                      config->election_ms,
                      4 * config->heartbeat_ms);
        return;
    }
    uint32_t least_ms = lease_least_ms(config->heartbeat_ms, config->election_ms);
    if (config->lease_ms < least_ms) {
        config_refuse(
            check,
            "cluster.lease_ms",
            "%u ends before an election with timers %u/%u may, and healthy primaries would be "
            "fenced: at least %u is needed, at most %d",
            config->lease_ms,
            config->heartbeat_ms,
            config->election_ms,
            least_ms,
            CONFIG_LEASE_MS_MAX);
    }
}

static void check_storage(struct config_check *check,
                          const struct yaml_storage *storage,
                          struct member_config *config)
{
    uint32_t kib = storage->snapshot_kib == 0 ? CONFIG_SNAPSHOT_KIB_DEFAULT : storage->snapshot_kib;
    if (kib < CONFIG_SNAPSHOT_KIB_MIN || kib > CONFIG_SNAPSHOT_KIB_MAX) {
        config_refuse(check,
                      "storage.snapshot_kib",
                      "%u is outside %d to %d",
                      kib,
                      CONFIG_SNAPSHOT_KIB_MIN,
                      CONFIG_SNAPSHOT_KIB_MAX);
    }
    config->snapshot_bytes = (uint64_t)kib * 1024;
}

/* All members found the cluster with the same bytes, in whatever order their files name them. */
static void sort_members(struct member_config *config)
{
    for (uint32_t i = 1; i < config->members_count; i++) {
        struct member member = config->members[i];
        uint32_t at = i;
        while (at > 0 && member_id_compare(config->members[at - 1].id, member.id) > 0) {
            config->members[at] = config->members[at - 1];
            at--;
        }
        config->members[at] = member;
    }
}

static bool regions_know(const struct member_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->regions_count; i++) {
        if (strcmp(config->regions[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Where this process listens: port 0 is any. */
static void take_listen(struct config_check *check, const char *field, const char *text, char *to)
{
    if (strlen(text) >= ADDRESS_SIZE || net_check_address(text) != ERR_OK) {
        config_refuse(check,
                      field,
                      "\"%.64s\" is no numeric address like 10.0.0.1:7400 or [fd00::1]:7400",
                      text);
        return;
    }
    (void)snprintf(to, ADDRESS_SIZE, "%s", text);
}

/* A port without TLS lets everybody in who can reach it. */
static void take_loopback(struct config_check *check, const char *field, const char *text, char *to)
{
    if (strncmp(text, "127.", strlen("127.")) != 0 &&
        strncmp(text, "[::1]:", strlen("[::1]:")) != 0) {
        config_refuse(
            check,
            field,
            "\"%.64s\" is not of this machine alone: use 127.0.0.1:PORT, for benchmarks only",
            text);
        return;
    }
    take_listen(check, field, text, to);
}

static void take_id(struct config_check *check, const char *field, const char *text, uint64_t *id)
{
    if (id128_parse(text, &id[0], &id[1]) != ERR_OK || (id[0] == 0 && id[1] == 0)) {
        config_refuse(check,
                      field,
                      "\"%.64s\" is no id of 32 hex digits: `indaba member new-id` makes one",
                      text);
    }
}
