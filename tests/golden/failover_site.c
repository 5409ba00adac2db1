/* SPDX-License-Identifier: Apache-2.0 */
/* One instance of a story: the real keeper and lease holder, over a database and a guardian that
 * are played. See failover_story.h. */
#include "failover_story.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    STEPS_MAX = 16,
    ACTION_MS = 30,
    START_MS = 100,
    BUILD_MS = 300,
    NS_PER_MS = 1000000,
    SYSTEM_IDENTIFIER = 77,
};

static const char *const NAMES[] = {"nobody", "a", "b", "c"};
static const char *const REGIONS[] = {"", "east", "west", "south"};

static void keep(struct story *story, struct story_site *site);
static void keep_lease(struct story *story, struct story_site *site);
static void facts_of(struct story *story, struct story_site *site, struct keeper_facts *facts);
static enum instance_state state_of(const struct story_site *site);
static void
primary_facts(struct story *story, const struct story_site *site, struct keeper_facts *facts);
static void probe(struct story *story, struct story_site *site);
static void begin(struct story *story, struct story_site *site, const struct keeper_action *action);
static void report(struct story *story, struct story_site *site);

const char *story_site_name(uint32_t number)
{
    CHECK(number <= STORY_SITES_MAX);
    return NAMES[number];
}

const char *story_site_region(uint32_t number)
{
    CHECK(number <= STORY_SITES_MAX);
    return REGIONS[number];
}

void story_site_step(struct story *story, struct story_site *site)
{
    struct story_guardian *guardian = &site->guardian;

    if (!site->machine_up) {
        return;
    }
    if (guardian->writable && story->now_ms >= guardian->deadline_ms) {
        story_note(story,
                   "guardian of %s: the lease has run out, nothing of the database is left",
                   NAMES[site->number]);
        story_database_dies(site);
    }
    if (!site->sidecar_up) {
        return;
    }
    if (site->running != KEEPER_NONE && story->now_ms >= site->action_ends_ms) {
        story_database_act(story, site);
        site->running = KEEPER_NONE;
    }
    probe(story, site);
    keep(story, site);
    report(story, site);
}

void story_site_output(struct story *story,
                       struct story_site *site,
                       const struct controller_output *output)
{
    struct keeper_state next;

    if (output->kind == CONTROLLER_CLOSE) {
        story_note(story, "leader ends the session of %s: %s", NAMES[site->number], output->text);
        story_site_closed(site);
    }
    if (site->cut_off || site->session == 0) {
        return;
    }
    if (output->kind == CONTROLLER_WELCOME) {
        site->instance = output->welcome.instance;
        CHECK(site->instance.value == site->number);
        CHECK(keeper_may_obey(&site->state, output->welcome.cluster_epoch, &next));
        site->state = next;
        lease_holder_session_opened(&site->holder);
    } else if (output->kind == CONTROLLER_GOAL) {
        marks_merge(&site->marks, &output->goal.marks);
        if (!site->has_goal || site->goal_of_epoch != site->state.cluster_epoch ||
            goal_compare(&output->goal, &site->goal) >= 0) {
            story_tell_goal(story, site, &output->goal);
            site->goal = output->goal;
            site->has_goal = true;
            site->goal_of_epoch = site->state.cluster_epoch;
        }
    } else if (output->kind == CONTROLLER_RENEWAL_ANSWER) {
        if (!output->renewal_answer.granted) {
            story_note(story,
                       "leader grants %s no lease of epoch %" PRIu64,
                       NAMES[site->number],
                       output->renewal_answer.epoch.value);
        }
        if (lease_holder_answer(&site->holder, &output->renewal_answer)) {
            site->guardian.deadline_ms = site->holder.deadline_ns / NS_PER_MS;
        }
    }
}

void story_site_closed(struct story_site *site)
{
    site->session = 0;
    site->instance.value = 0;
}

static void keep(struct story *story, struct story_site *site)
{
    struct keeper_facts facts;
    struct keeper_action action;

    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        keep_lease(story, site);
        facts_of(story, site, &facts);
        keeper_step(&facts, &site->state, site->has_goal ? &site->goal : NULL, &action);
        story_tell_action(story, site, &action);
        if (action.persist) {
            site->state = action.state_next;
        }
        if (action.kind == KEEPER_REFUSE) {
            site->has_goal = false;
        } else if (action.kind != KEEPER_NONE && action.kind != KEEPER_WAIT &&
                   action.kind != KEEPER_PERSIST) {
            begin(story, site, &action);
        }
        if (!action.persist) {
            break;
        }
        CHECK(i + 1 < STEPS_MAX);
    }
    facts_of(story, site, &facts);
    keeper_note_marks(&facts, &site->state, (struct instance_id){site->number}, &site->marks);
}

static void keep_lease(struct story *story, struct story_site *site)
{
    struct renewal renewal;
    uint64_t now_ns = story->now_ms * NS_PER_MS;

    lease_holder_goal(&site->holder, site->has_goal ? &site->goal : NULL, site->state.fenced_epoch);
    if (site->session != 0 && site->instance.value != 0 && !site->cut_off &&
        lease_holder_renew(&site->holder, now_ns, &renewal)) {
        enum error error = controller_renewal(story->controller, site->session, &renewal);
        CHECK(error == ERR_OK);
    }
    struct epoch leased = lease_holder_running(&site->holder, now_ns);
    if (leased.value != site->leased.value) {
        if (leased.value != 0) {
            story_note(
                story, "%s holds the lease of epoch %" PRIu64, NAMES[site->number], leased.value);
        } else {
            story_note(story, "%s holds no lease any more", NAMES[site->number]);
        }
        site->leased = leased;
    }
}

static void facts_of(struct story *story, struct story_site *site, struct keeper_facts *facts)
{
    const struct story_database *database = &site->database;

    memset(facts, 0, sizeof(*facts));
    facts->state = state_of(site);
    facts->running = site->running;
    facts->fresh_incarnation = site->number * 100 + ++site->fresh;
    facts->lease_epoch = lease_holder_running(&site->holder, story->now_ms * NS_PER_MS);
    facts->system_identifier = database->folder ? SYSTEM_IDENTIFIER : 0;
    facts->marks = site->marks;
    facts->start_nonce = site->guardian.office_nonce;
    facts->continuous = site->guardian.office_nonce != 0 && !site->guardian.writable;
    facts->redo_bytes = site->redo_bytes;
    facts->primary_reach = site->reach;
    if (site->reach != REACH_UNKNOWN) {
        facts->primary_reach_of = site->goal.upstream;
        facts->primary_reach_ms = (uint32_t)(story->now_ms - site->reach_since_ms);
    }
    facts->position = database->folder ? database->end : (struct position){0};
    facts->held = facts->position;
    facts->lineage =
        database->process != STORY_DOWN || database->proven ? LINEAGE_PROVEN : LINEAGE_UNKNOWN;
    if (database->process == STORY_STANDBY) {
        facts->nameless = database->nameless;
        facts->position_final = database->final;
        facts->conninfo_of.value = database->upstream;
        if (database->upstream != 0) {
            (void)snprintf(
                facts->conninfo_address, ADDRESS_SIZE, "10.0.0.%u:5432", database->upstream);
        }
        facts->receiver_running = database->streaming;
        facts->receiver_streaming = database->streaming;
    } else if (database->process == STORY_PRIMARY) {
        primary_facts(story, site, facts);
    }
}

static enum instance_state state_of(const struct story_site *site)
{
    if (site->running == KEEPER_CLONE || site->running == KEEPER_INIT) {
        return INSTANCE_BUILDING;
    }
    if (!site->database.folder) {
        return INSTANCE_EMPTY;
    }
    switch (site->database.process) {
    case STORY_DOWN:
        return INSTANCE_STOPPED;
    case STORY_STARTING:
        return INSTANCE_STARTING;
    case STORY_STANDBY:
        return INSTANCE_STANDBY;
    case STORY_PRIMARY:
        return INSTANCE_PRIMARY;
    }
    return INSTANCE_UNKNOWN;
}

static void
primary_facts(struct story *story, const struct story_site *site, struct keeper_facts *facts)
{
    const struct story_database *database = &site->database;

    facts->fork = database->fork;
    facts->sync_set_version = database->set_version;
    facts->sync_confirmed_version = database->confirmed ? database->set_version : 0;
    facts->slots_epoch = database->slots_epoch;
    facts->slots_index = database->slots_index;
    facts->canary_epoch = database->canary_epoch;
    facts->acked = database->acked;
    for (uint32_t i = 1; i <= story->sites_count; i++) {
        const struct story_site *other = &story->sites[i];
        if (!other->database.streaming || other->database.nameless ||
            other->database.upstream != site->number) {
            continue;
        }
        struct sync_member folder = {{i}, other->state.incarnation};
        facts->streaming[facts->streaming_count++] = folder;
        marks_raise(&facts->confirmed, folder, other->database.end);
        if (position_compare(other->database.end, database->end) == 0) {
            facts->caught_up[facts->caught_up_count++] = folder;
        }
    }
}

/* A new connection to the primary's port: what it finds depends on who is alive there. */
static void probe(struct story *story, struct story_site *site)
{
    const struct story_site *other = &story->sites[site->goal.upstream.value];
    enum reach reach = REACH_UNKNOWN;

    if (site->has_goal && site->goal.upstream.value != 0) {
        reach = !story_can_talk(site, other)            ? REACH_SILENT
                : other->database.process == STORY_DOWN ? REACH_REFUSED
                                                        : REACH_OK;
    }
    if (reach != site->reach) {
        site->reach = reach;
        site->reach_since_ms = story->now_ms;
    }
}

static void begin(struct story *story, struct story_site *site, const struct keeper_action *action)
{
    uint64_t takes_ms = ACTION_MS;

    if (action->kind == KEEPER_START) {
        takes_ms = START_MS;
        site->database.process = STORY_STARTING;
        site->guardian.nonce++;
    } else if (action->kind == KEEPER_CLONE || action->kind == KEEPER_INIT) {
        takes_ms = BUILD_MS;
    } else if (action->kind == KEEPER_PROMOTE) {
        site->guardian.writable = true; /* from the request on the deadline kills */
        site->guardian.office_nonce = site->guardian.nonce;
    }
    site->running = action->kind;
    site->action = *action;
    site->action_goal = site->goal;
    site->action_ends_ms = story->now_ms + takes_ms;
}

static void report(struct story *story, struct story_site *site)
{
    struct keeper_facts facts;
    struct report now;

    if (site->session == 0 || site->instance.value == 0 || site->cut_off) {
        return;
    }
    facts_of(story, site, &facts);
    keeper_report(&facts, &site->state, site->has_goal ? &site->goal : NULL, site->instance, &now);
    now.number = ++site->reports;
    story_tell_report(story, site, &now);
    site->said = now;
    if (controller_report(story->controller, site->session, &now, story->now_ms) != ERR_OK) {
        controller_session_closed(story->controller, site->session, story->now_ms);
        story_site_closed(site);
    }
}
