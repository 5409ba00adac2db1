/* SPDX-License-Identifier: Apache-2.0 */
/* Counting. Sets are at most 16 servers, so a sort by insertion is the fast one. */
#include "raft/quorum.h"

#include "base/check.h"

enum voting_set {
    SET_NEW,
    SET_OLD,
};

/* Per region of the new set, the best value of any of its voters; returns the number of regions. */
static uint32_t region_values(const struct raft_configuration *configuration,
                              const uint64_t *values,
                              uint64_t *best_out);
static bool votes_in(const struct raft_server *server, enum voting_set set);
static uint64_t set_value(const struct raft_configuration *configuration,
                          const uint64_t *values,
                          enum voting_set set);
static uint32_t set_size(const struct raft_configuration *configuration, enum voting_set set);
static uint32_t
set_count(const struct raft_configuration *configuration, const bool *marked, enum voting_set set);

uint64_t quorum_value(const struct raft_configuration *configuration, const uint64_t *values)
{
    CHECK(configuration->count <= RAFT_SERVERS_MAX);
    CHECK(set_size(configuration, SET_NEW) > 0);
    uint64_t value_new = set_value(configuration, values, SET_NEW);
    if (set_size(configuration, SET_OLD) == 0) {
        return value_new;
    }
    uint64_t value_old = set_value(configuration, values, SET_OLD);
    return value_new < value_old ? value_new : value_old;
}

uint64_t quorum_commit(const struct raft_configuration *configuration, const uint64_t *values)
{
    uint64_t majority = quorum_value(configuration, values);
    uint32_t needed = configuration->rules.commit_regions_min;
    if (needed <= 1) {
        return majority;
    }
    uint64_t best[RAFT_SERVERS_MAX];
    uint32_t regions = region_values(configuration, values, best);
    uint64_t reached = 0;
    for (uint32_t i = 0; i < regions; i++) {
        /* The largest value that enough regions have. */
        uint32_t having = 0;
        for (uint32_t j = 0; j < regions; j++) {
            having += best[j] >= best[i] ? 1 : 0;
        }
        if (having >= needed && best[i] > reached) {
            reached = best[i];
        }
    }
    return reached < majority ? reached : majority;
}

uint32_t quorum_regions(const struct raft_configuration *configuration)
{
    const uint64_t values[RAFT_SERVERS_MAX] = {0};
    uint64_t best[RAFT_SERVERS_MAX];
    return region_values(configuration, values, best);
}

bool quorum_has(const struct raft_configuration *configuration, const bool *yes)
{
    uint32_t size_new = set_size(configuration, SET_NEW);
    uint32_t size_old = set_size(configuration, SET_OLD);
    CHECK(configuration->count <= RAFT_SERVERS_MAX);
    return size_new > 0 && set_count(configuration, yes, SET_NEW) > size_new / 2 &&
           (size_old == 0 || set_count(configuration, yes, SET_OLD) > size_old / 2);
}

static uint32_t region_values(const struct raft_configuration *configuration,
                              const uint64_t *values,
                              uint64_t *best_out)
{
    uint32_t regions[RAFT_SERVERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        if (!server->voter || server->region == 0) {
            continue;
        }
        uint32_t at = 0;
        while (at < count && regions[at] != server->region) {
            at++;
        }
        if (at == count) {
            regions[count] = server->region;
            best_out[count] = 0;
            count++;
        }
        best_out[at] = values[i] > best_out[at] ? values[i] : best_out[at];
    }
    return count;
}

static bool votes_in(const struct raft_server *server, enum voting_set set)
{
    return set == SET_NEW ? server->voter : server->voter_old;
}

static uint64_t set_value(const struct raft_configuration *configuration,
                          const uint64_t *values,
                          enum voting_set set)
{
    uint64_t descending[RAFT_SERVERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (!votes_in(&configuration->servers[i], set)) {
            continue;
        }
        uint32_t at = count;
        while (at > 0 && descending[at - 1] < values[i]) {
            descending[at] = descending[at - 1];
            at--;
        }
        descending[at] = values[i];
        count++;
    }
    CHECK(count > 0);
    /* A majority of n is n/2 + 1: the (n/2)th from zero is the least value of the best majority. */
    return descending[count / 2];
}

static uint32_t set_size(const struct raft_configuration *configuration, enum voting_set set)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        size += votes_in(&configuration->servers[i], set) ? 1 : 0;
    }
    return size;
}

static uint32_t
set_count(const struct raft_configuration *configuration, const bool *marked, enum voting_set set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        count += votes_in(&configuration->servers[i], set) && marked[i] ? 1 : 0;
    }
    return count;
}
