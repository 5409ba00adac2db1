/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: look-ups, well-formedness, and the bytes of a configuration entry. Encoded: a
 * version byte, from version 2 on the rules, the count, and per server its id, its region and its
 * flags. What version 1 can say is still written in it: members that know no other can read it. */
#include "raft/membership.h"

#include "base/check.h"

enum {
    VERSION_SETS = 1,  /* the two voting sets */
    VERSION_RULES = 2, /* rules, and what shall become of a server */
    FLAG_VOTER = 1,
    FLAG_VOTER_OLD = 2,
    FLAG_PROMOTE = 4,
    FLAG_DEMOTED = 8,
    FLAGS_OF_SETS = FLAG_VOTER | FLAG_VOTER_OLD,
    FLAGS_KNOWN = FLAGS_OF_SETS | FLAG_PROMOTE | FLAG_DEMOTED,
    HEARTBEAT_MS_MIN = 5,
    /* Less than that many heartbeats in an election timeout, and one lost packet is an election. */
    HEARTBEATS_IN_ELECTION_MIN = 3,
    ELECTION_MS_MAX = 10 * 60 * 1000,
};

static uint8_t flags_of(const struct raft_server *server);
static uint8_t version_of(const struct raft_configuration *configuration);
static bool server_is_valid(const struct raft_server *server);
static void decode_server(struct reader *reader, uint8_t version, struct raft_server *server_out);

const struct raft_server *membership_find(const struct raft_configuration *configuration,
                                          struct member_id id)
{
    CHECK(configuration->count <= RAFT_SERVERS_MAX);
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (member_id_equal(configuration->servers[i].id, id)) {
            return &configuration->servers[i];
        }
    }
    return NULL;
}

bool membership_is_voter(const struct raft_configuration *configuration, struct member_id id)
{
    const struct raft_server *server = membership_find(configuration, id);
    return server != NULL && (server->voter || server->voter_old);
}

bool membership_is_joint(const struct raft_configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (configuration->servers[i].voter_old) {
            return true;
        }
    }
    return false;
}

enum error membership_validate(const struct raft_configuration *configuration)
{
    if (configuration->count == 0 || configuration->count > RAFT_SERVERS_MAX) {
        return ERR_INVALID;
    }
    bool has_voter = false;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        if (!server_is_valid(server)) {
            return ERR_INVALID;
        }
        if (i > 0 && member_id_compare(configuration->servers[i - 1].id, server->id) >= 0) {
            return ERR_INVALID;
        }
        has_voter = has_voter || server->voter;
    }
    return has_voter && membership_timers_are_valid(&configuration->rules) ? ERR_OK : ERR_INVALID;
}

bool membership_timers_are_valid(const struct raft_rules *rules)
{
    if (rules->heartbeat_ms == 0 && rules->election_ms == 0) {
        return true;
    }
    return rules->heartbeat_ms >= HEARTBEAT_MS_MIN && rules->election_ms <= ELECTION_MS_MAX &&
           rules->election_ms / HEARTBEATS_IN_ELECTION_MIN >= rules->heartbeat_ms;
}

void raft_configuration_encode(const struct raft_configuration *configuration, struct buf *out)
{
    CHECK(configuration->count > 0);
    CHECK(configuration->count <= RAFT_SERVERS_MAX);
    uint8_t version = version_of(configuration);
    buf_put_u8(out, version);
    if (version >= VERSION_RULES) {
        buf_put_u32(out, configuration->rules.heartbeat_ms);
        buf_put_u32(out, configuration->rules.election_ms);
        buf_put_u32(out, configuration->rules.commit_regions_min);
    }
    buf_put_u32(out, configuration->count);
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        buf_put_u64(out, server->id.hi);
        buf_put_u64(out, server->id.lo);
        buf_put_u32(out, server->region);
        buf_put_u8(out, flags_of(server));
    }
}

enum error raft_configuration_decode(struct slice bytes,
                                     struct raft_configuration *configuration_out)
{
    struct raft_configuration configuration = {0};
    struct reader reader = reader_of(bytes);
    uint8_t version = reader_u8(&reader);
    if (version != VERSION_SETS && version != VERSION_RULES) {
        return ERR_VERSION;
    }
    if (version >= VERSION_RULES) {
        configuration.rules.heartbeat_ms = reader_u32(&reader);
        configuration.rules.election_ms = reader_u32(&reader);
        configuration.rules.commit_regions_min = reader_u32(&reader);
    }
    configuration.count = reader_u32(&reader);
    if (configuration.count > RAFT_SERVERS_MAX) {
        return ERR_LIMIT;
    }
    for (uint32_t i = 0; i < configuration.count; i++) {
        decode_server(&reader, version, &configuration.servers[i]);
    }
    TRY(reader_finish(&reader));
    TRY(membership_validate(&configuration));
    *configuration_out = configuration;
    return ERR_OK;
}

static uint8_t flags_of(const struct raft_server *server)
{
    return (uint8_t)((server->voter ? FLAG_VOTER : 0) | (server->voter_old ? FLAG_VOTER_OLD : 0) |
                     (server->promote ? FLAG_PROMOTE : 0) | (server->demoted ? FLAG_DEMOTED : 0));
}

static uint8_t version_of(const struct raft_configuration *configuration)
{
    const struct raft_rules *rules = &configuration->rules;
    bool plain =
        rules->heartbeat_ms == 0 && rules->election_ms == 0 && rules->commit_regions_min == 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        plain = plain && (flags_of(&configuration->servers[i]) & ~FLAGS_OF_SETS) == 0;
    }
    return plain ? VERSION_SETS : VERSION_RULES;
}

static bool server_is_valid(const struct raft_server *server)
{
    if (member_id_is_none(server->id)) {
        return false;
    }
    if (server->promote && (server->voter || server->voter_old)) {
        return false;
    }
    return !server->demoted || (server->voter_old && !server->voter);
}

static void decode_server(struct reader *reader, uint8_t version, struct raft_server *server_out)
{
    server_out->id.hi = reader_u64(reader);
    server_out->id.lo = reader_u64(reader);
    server_out->region = reader_u32(reader);
    uint8_t flags = reader_u8(reader);
    uint8_t known = version == VERSION_SETS ? FLAGS_OF_SETS : FLAGS_KNOWN;
    if ((flags & ~known) != 0) {
        reader_fail(reader);
    }
    server_out->voter = (flags & FLAG_VOTER) != 0;
    server_out->voter_old = (flags & FLAG_VOTER_OLD) != 0;
    server_out->promote = (flags & FLAG_PROMOTE) != 0;
    server_out->demoted = (flags & FLAG_DEMOTED) != 0;
}
