/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the whole cluster, and what a forced recovery leaves behind. */
#include "base/check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool load(struct handler *handler, struct world_cluster *cluster_out);
static bool timers_are_valid(struct handler *handler, uint32_t heartbeat_ms, uint32_t election_ms);
static bool take_lease(struct handler *handler, uint32_t wanted_ms, struct world_cluster *cluster);
static bool lease_outlives_elections(struct handler *handler, const struct world_cluster *cluster);
static bool
take_commit_regions(struct handler *handler, uint32_t wanted, struct world_cluster *cluster);
static bool
take_leader_region(struct handler *handler, const char *name, struct world_cluster *cluster);

void settings_set(struct handler *handler)
{
    const struct command_cluster_set *body = &handler->command->cluster_set;
    struct world_cluster cluster;
    if (!load(handler, &cluster)) {
        return;
    }
    if ((body->heartbeat_ms == 0) != (body->election_ms == 0)) {
        handler_refuse(handler, ERR_INVALID, "heartbeat and election timers are set together");
        return;
    }
    if (body->heartbeat_ms != 0) {
        if (!timers_are_valid(handler, body->heartbeat_ms, body->election_ms)) {
            return;
        }
        cluster.heartbeat_ms = body->heartbeat_ms;
        cluster.election_ms = body->election_ms;
    }
    bool is_of_leases = body->heartbeat_ms != 0 || body->lease_ms != 0;
    if ((!is_of_leases || take_lease(handler, body->lease_ms, &cluster)) &&
        take_commit_regions(handler, body->commit_regions, &cluster) &&
        take_leader_region(handler, body->leader_region, &cluster)) {
        world_cluster_put(handler->change, &cluster);
    }
}

/* All other members leave at once: the configuration entry beside this one names the survivor
 * alone, and what they have of the log is no part of this history any more. */
void settings_recovered(struct handler *handler)
{
    const struct command_cluster_recovered *body = &handler->command->cluster_recovered;
    struct world_cluster cluster;
    if (!load(handler, &cluster)) {
        return;
    }
    if (body->cluster_epoch != cluster.cluster_epoch + 1) {
        handler_refuse(handler,
                       ERR_STALE_EPOCH,
                       "the next cluster epoch is %" PRIu32 ", not %" PRIu32,
                       cluster.cluster_epoch + 1,
                       body->cluster_epoch);
        return;
    }
    struct member members[MEMBERS_MAX];
    uint32_t count = query_members(handler->change->tables, members, MEMBERS_MAX);
    CHECK(count <= MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (member_id_equal(members[i].id, body->survivor)) {
            members[i].standing = MEMBER_VOTER;
            world_member_put(handler->change, &members[i]);
            continue;
        }
        char text[ID128_TEXT_SIZE];
        world_member_del(handler->change, members[i].id);
        world_name_put(handler->change,
                       WORLD_NAME_GONE,
                       id128_format(members[i].id.hi, members[i].id.lo, text),
                       1);
    }
    cluster.cluster_epoch = body->cluster_epoch;
    cluster.unconfirmed = true;
    cluster.commit_regions = 0; /* a single member is in one region */
    world_cluster_put(handler->change, &cluster);
    handler->result->id = body->cluster_epoch;
}

void settings_confirm(struct handler *handler)
{
    const struct command_cluster_confirm *body = &handler->command->cluster_confirm;
    struct world_cluster cluster;
    if (!load(handler, &cluster)) {
        return;
    }
    if (!cluster.unconfirmed || body->cluster_epoch != cluster.cluster_epoch) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       cluster.unconfirmed ? "the statement is about cluster epoch %" PRIu32
                                             ", the cluster is in epoch %" PRIu32
                                           : "no recovery waits for a statement (asked about "
                                             "epoch %" PRIu32 ", the cluster is in epoch %" PRIu32
                                             ")",
                       body->cluster_epoch,
                       cluster.cluster_epoch);
        return;
    }
    cluster.unconfirmed = false;
    world_cluster_put(handler->change, &cluster);
}

static bool load(struct handler *handler, struct world_cluster *cluster_out)
{
    world_cluster_get(handler->change->tables, cluster_out);
    if (cluster_out->cluster.hi == 0 && cluster_out->cluster.lo == 0) {
        handler_refuse(
            handler, ERR_PRECONDITION, "the cluster is not initialised yet: try again in a moment");
        return false;
    }
    return true;
}

/* The same bounds as in a member's configuration file. */
static bool timers_are_valid(struct handler *handler, uint32_t heartbeat_ms, uint32_t election_ms)
{
    if (heartbeat_ms < TIMER_HEARTBEAT_MS_MIN || heartbeat_ms > TIMER_HEARTBEAT_MS_MAX ||
        election_ms > TIMER_ELECTION_MS_MAX || election_ms < heartbeat_ms * 4) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "heartbeat %" PRIu32 " ms, election %" PRIu32
                       " ms: a heartbeat of %d to %d ms is needed, and an election timer of at "
                       "least 4 times as much, at most %d ms",
                       heartbeat_ms,
                       election_ms,
                       TIMER_HEARTBEAT_MS_MIN,
                       TIMER_HEARTBEAT_MS_MAX,
                       TIMER_ELECTION_MS_MAX);
        return false;
    }
    return true;
}

/* Only to a longer one: whoever waits for a lease to end waits for the longest there ever was. */
static bool take_lease(struct handler *handler, uint32_t wanted_ms, struct world_cluster *cluster)
{
    if (wanted_ms > LEASE_MS_MAX) {
        handler_refuse(handler, ERR_INVALID, "a lease is at most %d ms long", LEASE_MS_MAX);
        return false;
    }
    if (wanted_ms <= cluster->lease_ms) {
        return lease_outlives_elections(handler, cluster);
    }
    cluster->lease_ms = wanted_ms;
    for (uint32_t id = 1; id <= cluster->shards_count; id++) {
        struct shard_view view;
        if (world_shard_get(handler->change->tables, (struct shard_id){id}, &view) == ERR_OK &&
            !shard_rpo_fits(&view.shard, wanted_ms)) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "a lease of %" PRIu32 " ms is too long for shard '%s', whose rpo is "
                           "%" PRIu32 " ms: it may lose what came within a lease and one sample",
                           wanted_ms,
                           view.shard.name,
                           view.shard.rpo_ms);
            return false;
        }
    }
    return lease_outlives_elections(handler, cluster);
}

/* Timers that are not on record are those of each member's file, which was checked as a whole. */
static bool lease_outlives_elections(struct handler *handler, const struct world_cluster *cluster)
{
    uint32_t least_ms = lease_least_ms(cluster->heartbeat_ms, cluster->election_ms);
    if (cluster->election_ms == 0 || cluster->lease_ms >= least_ms) {
        return true;
    }
    handler_refuse(handler,
                   ERR_PRECONDITION,
                   "leases of %" PRIu32 " ms end before an election with timers %" PRIu32
                   "/%" PRIu32 " ms may: healthy primaries would be fenced; set them together "
                   "with a lease of %" PRIu32 " ms or more (at most %d)",
                   cluster->lease_ms,
                   cluster->heartbeat_ms,
                   cluster->election_ms,
                   least_ms,
                   LEASE_MS_MAX);
    return false;
}

/* More regions than have voters would stop the cluster for good. */
static bool
take_commit_regions(struct handler *handler, uint32_t wanted, struct world_cluster *cluster)
{
    uint32_t regions = roster_voter_regions(handler, NULL);
    if (wanted > 1 && wanted > regions) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "commits in %" PRIu32 " regions are not possible: voters are in %" PRIu32,
                       wanted,
                       regions);
        return false;
    }
    cluster->commit_regions = wanted == 0 ? cluster->commit_regions : wanted;
    return true;
}

static bool
take_leader_region(struct handler *handler, const char *name, struct world_cluster *cluster)
{
    if (name[0] == '\0') {
        return true;
    }
    bool none = strcmp(name, "-") == 0;
    if (!none && world_name_get(handler->change->tables, WORLD_NAME_REGION, name) == 0) {
        handler_refuse(handler, ERR_NOT_FOUND, "there is no region '%s'", name);
        return false;
    }
    (void)snprintf(cluster->leader_region, sizeof(cluster->leader_region), "%s", none ? "" : name);
    return true;
}
