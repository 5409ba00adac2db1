/* SPDX-License-Identifier: Apache-2.0 */
/* The database of an instance of a story, played: what it writes, receives and acknowledges, and
 * what an action of the sidecar does to it. See failover_story.h. */
#include "failover_story.h"

#include "base/check.h"

enum {
    RECORD_BYTES = 0x28,
    FIRST_BYTES = 0x1000,
};

static void act_as_primary(struct story *story, struct story_site *site);
static void promote(struct story *story, struct story_site *site);
static void confirm_sync(struct story *story, struct story_site *site);

void story_database_dies(struct story_site *site)
{
    site->database.process = STORY_DOWN;
    site->database.upstream = 0;
    site->database.streaming = false;
    site->database.final = false;
    site->database.proven = false;
    site->guardian.writable = false;
}

void story_database_write(struct story_site *site, uint64_t bytes)
{
    CHECK(site->database.process == STORY_PRIMARY);
    site->database.end.lsn += bytes;
}

void story_database_step(struct story *story, struct story_site *site)
{
    struct story_database *database = &site->database;
    uint64_t held[STORY_SITES_MAX];
    uint32_t count = 0;

    if (database->process == STORY_STANDBY) {
        const struct story_site *from = &story->sites[database->upstream];
        const struct story_database *source = &from->database;
        bool follows = position_compare(database->end, source->end) <= 0 &&
                       (database->end.timeline == source->end.timeline ||
                        position_can_follow(database->end, &source->fork));
        database->streaming = database->upstream != 0 && story_can_talk(site, from) &&
                              source->process == STORY_PRIMARY && follows;
        database->end = database->streaming ? source->end : database->end;
    }
    if (database->process != STORY_PRIMARY) {
        return;
    }
    for (uint32_t i = 1; i <= story->sites_count; i++) {
        const struct story_site *other = &story->sites[i];
        struct sync_member folder = {{i}, other->state.incarnation};
        if (other->database.streaming && !other->database.nameless &&
            other->database.upstream == site->number &&
            sync_pair_contains(&database->set, folder)) {
            held[count++] = other->database.end.lsn;
        }
    }
    if (story->mode == SHARD_ASYNC) {
        database->acked = database->end;
    } else if (database->set.required == 1 && count > 0) {
        database->acked = (struct position){database->end.timeline, held[0]};
    }
}

bool story_can_talk(const struct story_site *a, const struct story_site *b)
{
    return a->machine_up && b->machine_up && !a->cut_off && !b->cut_off;
}

void story_database_act(struct story *story, struct story_site *site)
{
    struct story_database *database = &site->database;
    const struct story_site *upstream = &story->sites[site->action.upstream.value];

    switch (site->action.kind) {
    case KEEPER_INIT:
        database->folder = true;
        database->end = (struct position){1, FIRST_BYTES};
        break;
    case KEEPER_CLONE:
        database->folder =
            story_can_talk(site, upstream) && upstream->database.process == STORY_PRIMARY;
        database->end = upstream->database.end;
        break;
    case KEEPER_REBUILD:
        story_database_dies(site);
        database->folder = false;
        break;
    case KEEPER_PROVE:
        database->proven = database->process == STORY_DOWN;
        break;
    case KEEPER_START:
        database->process = STORY_STANDBY;
        database->upstream = site->action.upstream.value;
        database->nameless = database->upstream != 0;
        database->final = false;
        break;
    case KEEPER_FOLLOW:
    case KEEPER_CUT:
        database->nameless = false;
        database->upstream = site->action.upstream.value;
        database->streaming = false;
        database->final = false;
        break;
    case KEEPER_FINAL_POSITION:
        database->final = database->process == STORY_STANDBY && database->upstream == 0;
        break;
    case KEEPER_STOP:
    case KEEPER_FENCE:
        story_database_dies(site);
        break;
    case KEEPER_PROMOTE:
        promote(story, site);
        break;
    case KEEPER_SET_SYNC:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
        act_as_primary(story, site);
        break;
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_ACTION_COUNT:
        UNREACHABLE("does nothing to the database");
    }
}

/* At first nobody is in the setting, and so nothing is acknowledged (docs/safety.md, section 3). */
static void promote(struct story *story, struct story_site *site)
{
    struct story_database *database = &site->database;

    if (site->promotion_fails) {
        story_note(
            story, "(the database of %s dies while it is promoted)", story_site_name(site->number));
        story_database_dies(site);
        return;
    }
    if (database->process != STORY_STANDBY) {
        return;
    }
    database->fork = (struct fork){.timeline = site->action_goal.timeline,
                                   .parent_timeline = database->end.timeline,
                                   .fork_lsn = database->end.lsn};
    database->end.timeline = site->action_goal.timeline;
    database->process = STORY_PRIMARY;
    database->set = (struct sync_pair){.required = 1};
    database->set_version = 0;
    database->confirmed = false;
    database->acked = (struct position){0};
}

static void act_as_primary(struct story *story, struct story_site *site)
{
    struct story_database *database = &site->database;
    const struct goal *goal = &site->action_goal;

    if (database->process != STORY_PRIMARY) {
        return;
    }
    if (site->action.kind == KEEPER_SET_SYNC) {
        database->set = goal->sync;
        database->set_version = goal->sync_version;
        database->confirmed = false;
        database->end.lsn += RECORD_BYTES;
    } else if (site->action.kind == KEEPER_SLOTS) {
        database->slots_epoch = goal->epoch;
        database->slots_index = goal->index;
    } else if (site->action.kind == KEEPER_CANARY) {
        database->end.lsn += RECORD_BYTES;
        database->canary_epoch = goal->epoch;
    } else {
        confirm_sync(story, site);
    }
}

static void confirm_sync(struct story *story, struct story_site *site)
{
    struct story_database *database = &site->database;
    uint32_t holders = 0;

    for (uint32_t i = 1; i <= story->sites_count; i++) {
        const struct story_database *other = &story->sites[i].database;
        struct sync_member folder = {{i}, story->sites[i].state.incarnation};
        holders += other->streaming && !other->nameless && other->upstream == site->number &&
                   sync_pair_contains(&database->set, folder) &&
                   other->end.lsn == database->end.lsn;
    }
    database->confirmed = holders >= database->set.required;
}
