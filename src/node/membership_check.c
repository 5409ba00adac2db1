/* SPDX-License-Identifier: Apache-2.0 */
/* See membership_check.h. */
#include "node/membership_check.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum hearing {
    HEARD,
    NOT_YET, /* by a leader that is new, or since a connection ended */
    STALLED, /* it answers, and makes nothing durable */
    SILENT,
};

struct tally {
    uint32_t voters;
    uint32_t heard;
    uint32_t heard_regions;
    uint32_t regions; /* of all of them, heard or not */
    uint32_t not_yet;
    uint32_t stalled;
    char silent[TEXT_SIZE / 2]; /* names of those that are not heard */
};

static bool asks_for_votes(const struct raft_configuration *before,
                           const struct raft_configuration *after);
static void count(const struct membership_wish *wish,
                  const struct raft_status *status,
                  const struct raft_configuration *target,
                  struct tally *tally_out);
static void add_once(uint32_t *regions, uint32_t *regions_count, uint32_t region);
static void judge(const struct tally *tally,
                  const struct raft_rules *rules,
                  struct membership_forecast *forecast);
static void judge_promotions(const struct membership_wish *before,
                             const struct membership_wish *after,
                             const struct raft_status *status,
                             struct membership_forecast *forecast);
static void
warn(const struct membership_wish *before, const struct membership_wish *after, char *warning);
static enum hearing hearing_of(const struct raft_status *status, struct member_id id);
static void name_one(const struct membership_wish *wish, struct member_id id, char *names);
static const struct member *recorded(const struct membership_wish *wish, struct member_id id);
static uint32_t voters_in(const struct member *members, uint32_t count, const char *region);

void membership_check(const struct membership_wish *before,
                      const struct membership_wish *after,
                      const struct raft_status *status,
                      struct membership_forecast *forecast_out)
{
    struct raft_configuration was;
    struct raft_configuration target;
    struct tally tally;
    CHECK(status->role == RAFT_LEADER);
    *forecast_out = (struct membership_forecast){.verdict = MEMBERSHIP_FITS};
    warn(before, after, forecast_out->warning);
    if (after->members_count > before->members_count) {
        return; /* who is new comes as a learner: nothing is asked of it until it has caught up */
    }
    membership_target(before, status, &was);
    membership_target(after, status, &target);
    if (asks_for_votes(&was, &target)) {
        count(after, status, &target, &tally);
        judge(&tally, &target.rules, forecast_out);
    }
    if (forecast_out->verdict == MEMBERSHIP_FITS) {
        judge_promotions(before, after, status, forecast_out);
    }
}

const char *membership_region_at_risk(const struct member *members, uint32_t count)
{
    CHECK(count <= MEMBERS_MAX);
    uint32_t voters = voters_in(members, count, NULL);
    for (uint32_t i = 0; i < count; i++) {
        if (members[i].standing == MEMBER_VOTER &&
            voters - voters_in(members, count, members[i].region) <= voters / 2) {
            return members[i].region;
        }
    }
    return NULL;
}

/* Whether other voters, or copies in more regions, would be asked for than before. Who only moves,
 * or asks again for what is under way, makes nothing worse. */
static bool asks_for_votes(const struct raft_configuration *before,
                           const struct raft_configuration *after)
{
    if (after->rules.commit_regions_min > before->rules.commit_regions_min) {
        return true;
    }
    for (uint32_t i = 0; i < before->count; i++) {
        bool stays = !before->servers[i].voter;
        for (uint32_t k = 0; k < after->count && !stays; k++) {
            stays = after->servers[k].voter &&
                    member_id_equal(after->servers[k].id, before->servers[i].id);
        }
        if (!stays) {
            return true;
        }
    }
    return false;
}

static void count(const struct membership_wish *wish,
                  const struct raft_status *status,
                  const struct raft_configuration *target,
                  struct tally *tally_out)
{
    uint32_t regions[RAFT_SERVERS_MAX] = {0};
    uint32_t heard_regions[RAFT_SERVERS_MAX] = {0};
    *tally_out = (struct tally){0};
    for (uint32_t i = 0; i < target->count; i++) {
        const struct raft_server *server = &target->servers[i];
        if (!server->voter) {
            continue;
        }
        tally_out->voters++;
        enum hearing hearing = hearing_of(status, server->id);
        tally_out->heard += hearing == HEARD;
        tally_out->not_yet += hearing == NOT_YET;
        tally_out->stalled += hearing == STALLED;
        add_once(regions, &tally_out->regions, server->region);
        if (hearing == HEARD) {
            add_once(heard_regions, &tally_out->heard_regions, server->region);
        } else {
            name_one(wish, server->id, tally_out->silent);
        }
    }
}

static void add_once(uint32_t *regions, uint32_t *regions_count, uint32_t region)
{
    for (uint32_t i = 0; i < *regions_count; i++) {
        if (regions[i] == region) {
            return;
        }
    }
    if (region != 0) {
        regions[(*regions_count)++] = region;
    }
}

static void judge(const struct tally *tally,
                  const struct raft_rules *rules,
                  struct membership_forecast *forecast)
{
    bool majority = tally->heard > tally->voters / 2;
    /* More regions than there are at all: the state says so, and better. */
    bool regions = rules->commit_regions_min <= 1 || rules->commit_regions_min > tally->regions ||
                   tally->heard_regions >= rules->commit_regions_min;
    if (majority && regions) {
        return;
    }
    bool unsure = tally->not_yet > 0 || tally->stalled > 0;
    forecast->verdict = unsure ? MEMBERSHIP_UNSURE : MEMBERSHIP_STOPS;
    if (unsure) {
        (void)snprintf(forecast->why,
                       TEXT_SIZE,
                       tally->not_yet > 0
                           ? "the leader does not know yet whether %s would answer: try again in a "
                             "moment"
                           : "without %s nothing could be decided any more, and they are not "
                             "heard, or answer and make nothing durable (does a disk hang?): mend "
                             "those, or remove them first",
                       tally->silent);
        return;
    }
    char what[64];
    (void)snprintf(what,
                   sizeof(what),
                   majority ? "voters of %" PRIu32 " regions would answer, of %" PRIu32 " needed"
                            : "%" PRIu32 " of %" PRIu32 " voters would answer, no majority",
                   majority ? tally->heard_regions : tally->heard,
                   majority ? rules->commit_regions_min : tally->voters);
    (void)snprintf(forecast->why,
                   TEXT_SIZE,
                   "%s: nothing could be decided any more. Not heard: %s. Start those, or remove "
                   "them first (`indaba member remove`)",
                   what,
                   tally->silent);
}

/* A voter on record that nobody hears would stay a learner, and nobody would know why. */
static void judge_promotions(const struct membership_wish *before,
                             const struct membership_wish *after,
                             const struct raft_status *status,
                             struct membership_forecast *forecast)
{
    for (uint32_t i = 0; i < after->members_count; i++) {
        const struct member *member = &after->members[i];
        const struct member *was = recorded(before, member->id);
        if (was == NULL || was->standing != MEMBER_LEARNER || member->standing != MEMBER_VOTER) {
            continue;
        }
        enum hearing hearing = hearing_of(status, member->id);
        if (hearing != HEARD) {
            forecast->verdict = hearing == SILENT ? MEMBERSHIP_STOPS : MEMBERSHIP_UNSURE;
            (void)snprintf(forecast->why,
                           TEXT_SIZE,
                           "learner '%s' %s and cannot be counted on: %s first (`indaba member ls` "
                           "shows %s)",
                           member->name,
                           hearing == STALLED ? "makes nothing durable" : "does not answer",
                           hearing == STALLED ? "mend its disk" : "start it",
                           hearing == STALLED ? "when that is over" : "when it was heard");
        }
    }
}

static void
warn(const struct membership_wish *before, const struct membership_wish *after, char *warning)
{
    const char *region = membership_region_at_risk(after->members, after->members_count);
    if (region == NULL ||
        membership_region_at_risk(before->members, before->members_count) != NULL) {
        return;
    }
    (void)snprintf(warning,
                   TEXT_SIZE,
                   "%" PRIu32 " of then %" PRIu32 " voters are in region %s: the loss of that one "
                   "region would stop every failover, which no region could before",
                   voters_in(after->members, after->members_count, region),
                   voters_in(after->members, after->members_count, NULL),
                   region);
}

static enum hearing hearing_of(const struct raft_status *status, struct member_id id)
{
    if (member_id_equal(id, status->leader)) {
        return HEARD;
    }
    for (uint32_t i = 0; i < status->peers_count; i++) {
        const struct raft_peer_status *peer = &status->peers[i];
        if (member_id_equal(peer->id, id)) {
            return peer->stalled ? STALLED : peer->heard ? HEARD : peer->unknown ? NOT_YET : SILENT;
        }
    }
    return SILENT;
}

static void name_one(const struct membership_wish *wish, struct member_id id, char *names)
{
    const struct member *member = recorded(wish, id);
    size_t len = strlen(names);
    (void)snprintf(names + len,
                   TEXT_SIZE / 2 - len,
                   "%s%s",
                   len == 0 ? "" : ", ",
                   member == NULL ? "one without a record" : member->name);
}

static const struct member *recorded(const struct membership_wish *wish, struct member_id id)
{
    for (uint32_t i = 0; i < wish->members_count; i++) {
        if (member_id_equal(wish->members[i].id, id)) {
            return &wish->members[i];
        }
    }
    return NULL;
}

/* Of all regions if none is named. */
static uint32_t voters_in(const struct member *members, uint32_t count, const char *region)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < count; i++) {
        voters += members[i].standing == MEMBER_VOTER &&
                  (region == NULL || strcmp(members[i].region, region) == 0);
    }
    return voters;
}
