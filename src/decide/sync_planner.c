/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the sync record true to life while a primary is open (safety.md 3): one new pair gathers
 * every change that is due, the primary confirms it, and the old pair is dropped. */
#include "decide/sync_planner.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/explain.h"

#include <inttypes.h>
#include <string.h>

static bool is_due(const struct plan_input *input, const struct observation **primary_out);
static bool must_replace(const struct plan_input *input, const struct report *primary);
static void
plan_finish(const struct plan_input *input, const struct report *primary, struct plan *plan);
static bool
add_caught_up(const struct plan_input *input, const struct report *primary, struct sync_pair *pair);
static bool says_it_streams(const struct plan_input *input, struct sync_member member);
static bool
remove_lost(const struct plan_input *input, const struct report *primary, struct sync_pair *pair);
static void remove_unheard(const struct plan_input *input, struct sync_pair *pair);
static bool drop_gone(const struct plan_input *input, struct sync_pair *pair);
static bool is_gone(const struct plan_input *input, struct sync_member member);
static bool is_heard(const struct plan_input *input, struct sync_member member);
static bool
is_lost(const struct plan_input *input, const struct report *primary, struct sync_member member);
static bool is_streaming(const struct report *primary, struct sync_member member);
static uint32_t required_of(const struct shard *shard, uint32_t members_count);
static uint32_t required_if_held(const struct shard *shard,
                                 const struct report *primary,
                                 const struct sync_pair *pair);

void sync_plan(const struct plan_input *input, struct plan *plan_out)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *primary = NULL;

    plan_out->has_command = false;
    plan_out->waiting[0] = '\0';
    if (!is_due(input, &primary)) {
        return;
    }
    bool joint = shard->sync.pairs_count > 1;
    if (joint && !must_replace(input, &primary->report)) {
        plan_finish(input, &primary->report, plan_out);
        return;
    }
    struct sync_pair before = shard->sync.pairs[shard->sync.pairs_count - 1];
    struct sync_pair pair = before;
    bool added = add_caught_up(input, &primary->report, &pair);
    bool removed = !joint && remove_lost(input, &primary->report, &pair);
    removed = drop_gone(input, &pair) || removed;
    pair.required = required_if_held(shard, &primary->report, &pair);
    bool raised = pair.members_count > 0 && pair.required != before.required;
    if (!added && !removed && !raised) {
        if (pair.members_count == 0) {
            explain(plan_out->waiting,
                    "no standby has caught up yet: writes wait, because none could be kept");
        }
        return;
    }
    memset(&plan_out->command, 0, sizeof(plan_out->command));
    plan_out->has_command = true;
    plan_out->command.kind = COMMAND_SYNC_BEGIN;
    plan_out->command.sync.shard = shard->id;
    plan_out->command.sync.epoch = shard->primary_epoch;
    plan_out->command.sync.pair = pair;
    explain(plan_out->command.sync.reason,
            "%s%s%s",
            added ? "a standby has caught up" : "",
            added && removed ? ", " : "",
            removed ? "a standby has not streamed for too long" : "");
}

static bool is_due(const struct plan_input *input, const struct observation **primary_out)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *primary = observe_find(input->observations, shard->primary);

    if (shard->mode != SHARD_SYNC || shard->primary.value == 0 || !shard->opened ||
        shard_view_in_failover(input->view) || shard->sync.pairs_count == 0 ||
        !observation_is_fresh(primary, input->now_ms, SYNC_FRESH_MS)) {
        return false;
    }
    *primary_out = primary;
    return primary->report.state == INSTANCE_PRIMARY &&
           primary->report.promoted_epoch.value == shard->primary_epoch.value;
}

/* A pair under change that names a data folder which is wiped, or not built yet, may never be
 * confirmed: another one, without it, goes on top. */
static bool must_replace(const struct plan_input *input, const struct report *primary)
{
    const struct shard *shard = &input->view->shard;
    const struct sync_pair *newest = &shard->sync.pairs[shard->sync.pairs_count - 1];

    if (primary->sync_confirmed_version == shard->sync.version ||
        shard->sync.pairs_count == SYNC_PAIRS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < newest->members_count; i++) {
        if (is_gone(input, newest->members[i])) {
            MARK("sync_planner.replaced");
            return true;
        }
    }
    return false;
}

static void
plan_finish(const struct plan_input *input, const struct report *primary, struct plan *plan)
{
    const struct shard *shard = &input->view->shard;

    if (primary->sync_confirmed_version != shard->sync.version) {
        explain(plan->waiting,
                "sync record: the primary has not confirmed version %" PRIu64 " yet",
                shard->sync.version);
        return;
    }
    memset(&plan->command, 0, sizeof(plan->command));
    plan->has_command = true;
    plan->command.kind = COMMAND_SYNC_FINISH;
    plan->command.sync.shard = shard->id;
    plan->command.sync.epoch = shard->primary_epoch;
    plan->command.sync.pair = shard->sync.pairs[shard->sync.pairs_count - 1];
    plan->command.sync.version = shard->sync.version;
    explain(plan->command.sync.reason, "confirmed by the primary");
}

static bool
add_caught_up(const struct plan_input *input, const struct report *primary, struct sync_pair *pair)
{
    const struct shard_view *view = input->view;
    bool added = false;

    for (uint32_t i = 0; i < primary->caught_up_count && i < SYNC_SET_MAX; i++) {
        struct sync_member member = primary->caught_up[i];
        const struct instance *instance = shard_view_instance(view, member.instance);
        if (instance == NULL || member.instance.value == view->shard.primary.value ||
            instance->incarnation.value != member.incarnation.value ||
            member.incarnation.value == 0 || sync_pair_contains(pair, member)) {
            continue;
        }
        if (!says_it_streams(input, member)) {
            MARK("sync_planner.not_running");
            continue;
        }
        added = sync_pair_add(pair, member) == ERR_OK || added;
    }
    return added;
}

/* The primary's word that somebody streams under a name is not enough: whoever knows the name may
 * be a base backup under way, or a copy of a folder. The standby itself says that its database runs
 * on this data folder and receives from this primary. */
static bool says_it_streams(const struct plan_input *input, struct sync_member member)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *standby = observe_find(input->observations, member.instance);

    return observation_is_fresh(standby, input->now_ms, SYNC_FRESH_MS) &&
           standby->report.state == INSTANCE_STANDBY &&
           standby->report.incarnation.value == member.incarnation.value &&
           standby->report.epoch.value == shard->epoch.value &&
           standby->report.goal_role == GOAL_STANDBY && standby->report.receiver_streaming &&
           standby->report.upstream.value == shard->primary.value;
}

/* Takes out who is lost, one after the other, as long as what remains can acknowledge. */
static bool
remove_lost(const struct plan_input *input, const struct report *primary, struct sync_pair *pair)
{
    struct sync_pair before = *pair;

    for (uint32_t i = 0; i < before.members_count; i++) {
        struct sync_member member = before.members[i];
        if (!is_lost(input, primary, member) || pair->members_count <= pair->required) {
            continue;
        }
        enum error error = sync_pair_remove(pair, member);
        CHECK(error == ERR_OK);
        MARK("sync_planner.removed");
    }
    remove_unheard(input, pair);
    return pair->members_count != before.members_count;
}

/* A standby whose sidecar is gone streams on, but nobody can cut it: with it in the record the next
 * failover has one report too few. It leaves while those that remain are heard and enough. */
static void remove_unheard(const struct plan_input *input, struct sync_pair *pair)
{
    struct sync_pair heard = *pair;

    for (uint32_t i = 0; i < pair->members_count; i++) {
        if (!is_heard(input, pair->members[i])) {
            enum error error = sync_pair_remove(&heard, pair->members[i]);
            CHECK(error == ERR_OK);
        }
    }
    if (heard.members_count < pair->members_count && heard.members_count >= pair->required) {
        MARK("sync_planner.unheard");
        *pair = heard;
    }
}

/* Takes out data folders that are no more, if anybody remains: they can confirm nothing, and a pair
 * that asks for them all would never be confirmed. */
static bool drop_gone(const struct plan_input *input, struct sync_pair *pair)
{
    struct sync_pair kept = *pair;

    for (uint32_t i = 0; i < pair->members_count; i++) {
        if (is_gone(input, pair->members[i])) {
            enum error error = sync_pair_remove(&kept, pair->members[i]);
            CHECK(error == ERR_OK);
        }
    }
    if (kept.members_count == 0 || kept.members_count == pair->members_count) {
        return false;
    }
    *pair = kept;
    return true;
}

/* Another folder took its place, or its own sidecar says that there is none that could run. */
static bool is_gone(const struct plan_input *input, struct sync_member member)
{
    const struct instance *instance = shard_view_instance(input->view, member.instance);
    const struct observation *own = observe_find(input->observations, member.instance);

    if (instance == NULL || instance->incarnation.value != member.incarnation.value) {
        return true;
    }
    return observation_is_fresh(own, input->now_ms, SYNC_FRESH_MS) &&
           own->report.incarnation.value == member.incarnation.value &&
           (own->report.state == INSTANCE_EMPTY || own->report.state == INSTANCE_BUILDING);
}

static bool is_heard(const struct plan_input *input, struct sync_member member)
{
    const struct observation *own = observe_find(input->observations, member.instance);
    uint64_t since_ms = input->observations->elected_ms;

    if (own != NULL && own->heard && own->report_ms > since_ms) {
        since_ms = own->report_ms;
    }
    return input->now_ms - since_ms < SYNC_SHRINK_MS;
}

static bool
is_lost(const struct plan_input *input, const struct report *primary, struct sync_member member)
{
    const struct observations *observations = input->observations;
    const struct observation *standby = observe_find(observations, member.instance);
    uint64_t since_ms = observations->primary_since_ms;

    if (is_streaming(primary, member)) {
        return false;
    }
    if (standby != NULL && standby->streamed_inc.value == member.incarnation.value &&
        standby->streamed_ms > since_ms) {
        since_ms = standby->streamed_ms;
    }
    return input->now_ms - since_ms >= SYNC_SHRINK_MS;
}

static uint32_t required_of(const struct shard *shard, uint32_t members_count)
{
    uint32_t required = shard->sync_required < members_count ? shard->sync_required : members_count;

    return required > 0 ? required : 1;
}

/* W as wanted, but raised only as far as members stream now: a higher one could not be confirmed,
 * and a record that stays joint takes no further change. */
static uint32_t required_if_held(const struct shard *shard,
                                 const struct report *primary,
                                 const struct sync_pair *pair)
{
    uint32_t wanted = required_of(shard, pair->members_count);
    uint32_t held = 0;

    for (uint32_t i = 0; i < pair->members_count; i++) {
        held += is_streaming(primary, pair->members[i]);
    }
    held = held > pair->required ? held : pair->required;
    return wanted < held ? wanted : held;
}

static bool is_streaming(const struct report *primary, struct sync_member member)
{
    for (uint32_t i = 0; i < primary->streaming_count && i < SYNC_SET_MAX; i++) {
        if (primary->streaming[i].instance.value == member.instance.value &&
            primary->streaming[i].incarnation.value == member.incarnation.value) {
            return true;
        }
    }
    return false;
}
