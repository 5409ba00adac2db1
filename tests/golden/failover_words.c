/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in a story of a failover, in words: one line each. See failover_story.h. */
#include "failover_story.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A line that grows; what does not fit is cut. */
struct words {
    char text[STORY_TEXT_SIZE];
    size_t len;
};

static void order_words(const struct command *command, struct words *words);
static void failover_words(const struct command *command, struct words *words);
static void reports_words(const struct command_failover *body, struct words *words);
static void pair_words(const struct sync_pair *pair, struct words *words);
static void
report_words(const struct report *before, const struct report *now, struct words *words);
static void
standing_words(const struct report *before, const struct report *now, struct words *words);
static void
primary_words(const struct report *before, const struct report *now, struct words *words);

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    size_t room = sizeof(words->text) - words->len;
    int wrote = vsnprintf(words->text + words->len, room, format, arguments);
    va_end(arguments);
    CHECK(wrote >= 0);
    words->len += (size_t)wrote < room ? (size_t)wrote : room - 1;
}

/* … with what came before set off. */
__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *format, ...)
{
    char text[STORY_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say(words, "%s%s", words->len > 0 ? "; " : "", text);
}

static const char *at(struct position position, char *text)
{
    return position_format(position, text);
}

void story_tell_order(struct story *story, const struct command *command)
{
    struct words words = {0};

    order_words(command, &words);
    story_note(story, "leader orders %s%s", command_kind_name(command->kind), words.text);
}

void story_tell_applied(struct story *story,
                        const struct command *command,
                        const struct command_result *result)
{
    const char *kind = command_kind_name(command->kind);

    if (result->error != ERR_OK) {
        story_note(
            story, "log %" PRIu64 ": %s is refused: %s", story->index, kind, result->message);
        return;
    }
    struct words words = {0};
    if (strncmp(kind, "failover.", strlen("failover.")) == 0) {
        struct shard_view view = story_view(story);
        say(&words,
            ": step %s, epoch %" PRIu64 "; ",
            failover_step_name(view.failover.step),
            view.shard.epoch.value);
        say(&words,
            view.shard.primary.value == 0 ? "no primary"
                                          : "primary %s of epoch %" PRIu64 ", its lease %s",
            story_site_name(view.shard.primary.value),
            view.shard.primary_epoch.value,
            view.shard.lease == LEASE_OPEN ? "open" : "closed");
    }
    story_note(story, "log %" PRIu64 ": %s applied%s", story->index, kind, words.text);
}

void story_tell_goal(struct story *story, struct story_site *site, const struct goal *goal)
{
    struct words words = {0};

    say(&words, "epoch %" PRIu64 ", %s", goal->epoch.value, goal_role_name(goal->role));
    if (goal->upstream.value != 0) {
        say(&words,
            " %s %s",
            goal->role == GOAL_CUT ? "from" : "of",
            story_site_name(goal->upstream.value));
    }
    if (goal->role == GOAL_CUT && goal->upstream.value == 0) {
        say(&words, " from nobody");
    }
    if (goal->drain) {
        say(&words, ", stop in order");
    }
    if (goal->role == GOAL_PRIMARY && goal->may_promote) {
        char text[POSITION_TEXT_SIZE];
        say(&words, ", promote to timeline %u", goal->timeline);
        say(&words,
            goal->bootstrap ? ", from an empty folder" : " at or above %s",
            at(goal->floor, text));
    }
    if (goal->role == GOAL_PRIMARY && goal->mode == SHARD_SYNC) {
        say(&words, ", writes held for ");
        pair_words(&goal->sync, &words);
        say(&words, " (version %" PRIu64 ")", goal->sync_version);
    }
    if (strcmp(words.text, site->goal_text) != 0) {
        memcpy(site->goal_text, words.text, words.len + 1);
        story_note(story, "goal of %s: %s", story_site_name(site->number), words.text);
    }
}

void story_tell_action(struct story *story,
                       struct story_site *site,
                       const struct keeper_action *action)
{
    const char *name = story_site_name(site->number);

    if (action->kind == KEEPER_WAIT || action->kind == KEEPER_NONE) {
        bool busy = site->running != KEEPER_NONE;
        if (!busy && action->kind == KEEPER_WAIT && site->waits_text != action->reason) {
            story_note(story, "%s waits: %s", name, action->reason);
        }
        site->waits_text = busy ? site->waits_text : action->reason;
        return;
    }
    site->waits_text = NULL;
    if (action->kind != KEEPER_PERSIST) {
        if (site->acts_text == action->reason) {
            return; /* the same once more */
        }
        site->acts_text = action->reason;
        story_note(story, "%s does %s: %s", name, keeper_action_name(action->kind), action->reason);
    } else if (action->state_next.epoch.value == site->state.epoch.value &&
               action->state_next.goal_index == site->state.goal_index) {
        story_note(story, "%s writes down: %s", name, action->reason);
    }
}

void story_tell_report(struct story *story, struct story_site *site, const struct report *report)
{
    struct words words = {0};

    report_words(&site->said, report, &words);
    if (words.len > 0) {
        story_note(story, "%s reports: %s", story_site_name(site->number), words.text);
    }
}

static void order_words(const struct command *command, struct words *words)
{
    const struct command_sync *sync = &command->sync;

    enum command_kind kind = command->kind;

    if (kind == COMMAND_INSTANCE_REGISTER) {
        say(words, ": %s", command->instance_register.hello.instance);
    } else if (kind == COMMAND_INSTANCE_UPDATE) {
        say(words,
            ": %s has another data folder",
            story_site_name(command->instance_update.instance.value));
    } else if (kind == COMMAND_SYNC_BEGIN) {
        say(words, ": writes held for ");
        pair_words(&sync->pair, words);
        say(words, ", %s", sync->reason);
    } else if (kind == COMMAND_SYNC_FINISH) {
        say(words, ": only for ");
        pair_words(&sync->pair, words);
        say(words, " from version %" PRIu64 " on, %s", sync->version, sync->reason);
    } else if (kind == COMMAND_SYNC_LAPSED) {
        say(words, ": %s", sync->reason);
    } else {
        failover_words(command, words);
    }
}

static void failover_words(const struct command *command, struct words *words)
{
    const struct command_failover *body = &command->failover;
    char text[POSITION_TEXT_SIZE];

    enum command_kind kind = command->kind;

    if (kind == COMMAND_FAILOVER_BEGIN) {
        say(words,
            ": epoch %" PRIu64 ", cause %s%s%s; %s",
            body->epoch.value,
            failover_cause_name(body->cause),
            body->in_place ? ", in place" : "",
            body->witnessed ? ", witnessed" : "",
            body->evidence);
    } else if (kind == COMMAND_FAILOVER_EXCLUDED) {
        say(words, ": by %s, %s", exclusion_proof_name(body->proof), body->evidence);
    } else if (kind == COMMAND_FAILOVER_COMPLETED) {
        reports_words(body, words);
    } else if (kind == COMMAND_FAILOVER_DECIDED) {
        say(words, ": %s", body->reason);
        if (body->pair.required > 0) {
            say(words, "; writes held for ");
            pair_words(&body->pair, words);
        }
    } else if (kind == COMMAND_FAILOVER_PROMOTED) {
        say(words,
            ": timeline %u left %u at %s",
            body->fork.timeline,
            body->fork.parent_timeline,
            at((struct position){body->fork.parent_timeline, body->fork.fork_lsn}, text));
    }
}

static void reports_words(const struct command_failover *body, struct words *words)
{
    char text[POSITION_TEXT_SIZE];

    say(words, body->in_place ? ": its own folder" : ":");
    for (uint32_t i = 0; i < body->reports_count; i++) {
        say(words,
            "%s %s ends at %s",
            i > 0 ? "," : "",
            story_site_name(body->reports[i].instance.value),
            at(body->reports[i].position, text));
    }
    if (body->own.instance.value != 0) {
        say(words, "; the old primary itself at %s", at(body->own.position, text));
    }
}

/* "1 of b, c". */
static void pair_words(const struct sync_pair *pair, struct words *words)
{
    say(words, "%u of", pair->required);
    for (uint32_t i = 0; i < pair->members_count; i++) {
        say(words, "%s %s", i > 0 ? "," : "", story_site_name(pair->members[i].instance.value));
    }
    if (pair->members_count == 0) {
        say(words, " nobody yet");
    }
}

static void report_words(const struct report *before, const struct report *now, struct words *words)
{
    standing_words(before, now, words);
    primary_words(before, now, words);
    if (now->primary_reach != before->primary_reach && now->primary_reach != REACH_UNKNOWN &&
        !(now->primary_reach == REACH_OK && before->primary_reach == REACH_UNKNOWN)) {
        add(words,
            "the port of %s is %s",
            story_site_name(now->primary_reach_of.value),
            reach_name(now->primary_reach));
    }
}

static void
standing_words(const struct report *before, const struct report *now, struct words *words)
{
    char text[POSITION_TEXT_SIZE];

    if (now->state != before->state) {
        add(words, "%s", instance_state_name(now->state));
    }
    if (now->position_final && !before->position_final) {
        say(words,
            "%sends for good at %s%s",
            words->len > 0 ? ", " : "",
            at(now->position, text),
            now->cut_from.value != 0 ? "" : ", cut from nobody");
    }
    if (now->cut_from.value != 0 && now->cut_from.value != before->cut_from.value) {
        add(words, "cut from %s", story_site_name(now->cut_from.value));
    }
    if (now->receiver_streaming != before->receiver_streaming) {
        add(words,
            now->receiver_streaming ? "receives from %s" : "receives nothing any more",
            story_site_name(now->upstream.value));
    }
    if (now->fenced_epoch.value != before->fenced_epoch.value) {
        add(words, "epochs up to %" PRIu64 " are over here", now->fenced_epoch.value);
    }
}

static void
primary_words(const struct report *before, const struct report *now, struct words *words)
{
    char text[POSITION_TEXT_SIZE];

    if (now->promoted_epoch.value != before->promoted_epoch.value &&
        now->promoted_epoch.value != 0) {
        add(words,
            "promoted in epoch %" PRIu64 ": timeline %u from %s",
            now->promoted_epoch.value,
            now->promoted_fork.timeline,
            at((struct position){now->promoted_fork.parent_timeline, now->promoted_fork.fork_lsn},
               text));
    }
    if (now->canary_ok && !before->canary_ok) {
        add(words, "a commit was confirmed, or seen to wait");
    }
    if (now->state == INSTANCE_PRIMARY && now->caught_up_count != before->caught_up_count) {
        add(words, "standbys that have caught up: %u", now->caught_up_count);
    }
    if (now->sync_confirmed_version != before->sync_confirmed_version &&
        now->sync_confirmed_version != 0) {
        add(words, "version %" PRIu64 " is in force", now->sync_confirmed_version);
    }
    if (now->acked.timeline != before->acked.timeline && now->acked.timeline != 0) {
        add(words, "acknowledges writes of timeline %u", now->acked.timeline);
    }
}
