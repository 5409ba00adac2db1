/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: look-ups, well-formedness, and the bytes of a configuration entry. Encoded: a
 * version byte, the count, and per server its id, its region and its flags. */
#include "raft/membership.h"

#include "base/check.h"

enum {
    ENCODING_VERSION = 1,
    FLAG_VOTER = 1,
    FLAG_VOTER_OLD = 2,
    FLAGS_KNOWN = FLAG_VOTER | FLAG_VOTER_OLD,
};

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
        if (member_id_is_none(server->id)) {
            return ERR_INVALID;
        }
        if (i > 0 && member_id_compare(configuration->servers[i - 1].id, server->id) >= 0) {
            return ERR_INVALID;
        }
        has_voter = has_voter || server->voter;
    }
    return has_voter ? ERR_OK : ERR_INVALID;
}

void raft_configuration_encode(const struct raft_configuration *configuration, struct buf *out)
{
    CHECK(configuration->count > 0);
    CHECK(configuration->count <= RAFT_SERVERS_MAX);
    buf_put_u8(out, ENCODING_VERSION);
    buf_put_u32(out, configuration->count);
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        uint8_t flags =
            (uint8_t)((server->voter ? FLAG_VOTER : 0) | (server->voter_old ? FLAG_VOTER_OLD : 0));
        buf_put_u64(out, server->id.hi);
        buf_put_u64(out, server->id.lo);
        buf_put_u32(out, server->region);
        buf_put_u8(out, flags);
    }
}

enum error raft_configuration_decode(struct slice bytes,
                                     struct raft_configuration *configuration_out)
{
    struct raft_configuration configuration = {0};
    struct reader reader = reader_of(bytes);
    if (reader_u8(&reader) != ENCODING_VERSION) {
        return ERR_VERSION;
    }
    configuration.count = reader_u32(&reader);
    if (configuration.count > RAFT_SERVERS_MAX) {
        return ERR_LIMIT;
    }
    for (uint32_t i = 0; i < configuration.count; i++) {
        struct raft_server *server = &configuration.servers[i];
        server->id.hi = reader_u64(&reader);
        server->id.lo = reader_u64(&reader);
        server->region = reader_u32(&reader);
        uint8_t flags = reader_u8(&reader);
        if ((flags & ~FLAGS_KNOWN) != 0) {
            reader_fail(&reader);
        }
        server->voter = (flags & FLAG_VOTER) != 0;
        server->voter_old = (flags & FLAG_VOTER_OLD) != 0;
    }
    TRY(reader_finish(&reader));
    TRY(membership_validate(&configuration));
    *configuration_out = configuration;
    return ERR_OK;
}
