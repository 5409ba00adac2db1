/* SPDX-License-Identifier: Apache-2.0 */
/* What the leader has heard of one shard in this office. Sessions and reports arrive in any order;
 * a report counts only over the session that is open now, so that what an old connection still
 * delivers cannot overwrite what a newer one said. */
#include "decide/observation.h"

#include "base/check.h"

#include <string.h>

static struct observation *observation_of(struct observations *observations,
                                          struct instance_id instance);
static void note_folders(struct observations *observations, const struct shard_view *view);
static void note_marks(struct observations *observations, const struct marks *marks);
static void note_streaming(struct observations *observations,
                           const struct observation *primary,
                           uint64_t now_ms);

void observe_elected(struct observations *observations, uint64_t now_ms)
{
    memset(observations, 0, sizeof(*observations));
    observations->elected_ms = now_ms;
    observations->step_since_ms = now_ms;
    observations->lapse_ms = now_ms;
}

void observe_view(struct observations *observations, const struct shard_view *view, uint64_t now_ms)
{
    enum failover_step step = view->failover.id == 0 ? FAILOVER_NONE : view->failover.step;

    note_folders(observations, view);
    if (observations->epoch.value == view->shard.epoch.value && observations->step == step) {
        return;
    }
    bool first = observations->epoch.value == 0 && observations->step == FAILOVER_NONE;
    observations->epoch = view->shard.epoch;
    observations->step = step;
    observations->step_since_ms = now_ms;
    /* What was done before this office is old news, not a flap. */
    if (step == FAILOVER_DONE && !first) {
        observations->done_seen = true;
        observations->done_ms = now_ms;
    }
}

void observe_out_of_touch(struct observations *observations, uint64_t now_ms)
{
    observations->out_of_touch_ms = now_ms;
}

enum error observe_session_opened(struct observations *observations,
                                  struct instance_id instance,
                                  uint64_t session,
                                  uint64_t now_ms)
{
    CHECK(session != 0);
    CHECK(instance.value != 0);

    struct observation *item = observation_of(observations, instance);
    if (item == NULL) {
        return ERR_LIMIT;
    }
    item->session = session;
    item->closed = false;
    item->opened_ms = now_ms;
    if (observations->first_session_ms == 0) {
        observations->first_session_ms = now_ms;
    }
    return ERR_OK;
}

void observe_session_closed(struct observations *observations,
                            struct instance_id instance,
                            uint64_t session,
                            uint64_t now_ms)
{
    for (uint32_t i = 0; i < observations->count; i++) {
        struct observation *item = &observations->items[i];
        if (item->instance.value == instance.value && item->session == session && session != 0) {
            item->session = 0;
            item->closed = true;
            item->closed_ms = now_ms;
        }
    }
}

enum error observe_report(struct observations *observations,
                          const struct report *report,
                          uint64_t session,
                          uint64_t now_ms)
{
    CHECK(session != 0);
    CHECK(observations->count <= SHARD_INSTANCES_MAX);

    for (uint32_t i = 0; i < observations->count; i++) {
        struct observation *item = &observations->items[i];
        if (item->instance.value != report->instance.value || item->session != session) {
            continue;
        }
        if (!item->heard || position_compare(item->report.position, report->position) != 0) {
            item->moved_ms = now_ms;
        }
        if (item->heard && report->start_nonce != 0 &&
            report->start_nonce == item->report.start_nonce &&
            report->number <= item->report.number) {
            item->set_back_nonce = report->start_nonce;
        }
        item->heard = true;
        item->report_ms = now_ms;
        item->report = *report;
        if (report->lapse[0] != '\0') {
            observations->lapse_ms = now_ms;
        }
        note_marks(observations, &report->marks);
        if (report->state == INSTANCE_PRIMARY) {
            note_streaming(observations, item, now_ms);
        }
        return ERR_OK;
    }
    return ERR_PRECONDITION;
}

const struct observation *observe_find(const struct observations *observations,
                                       struct instance_id instance)
{
    for (uint32_t i = 0; i < observations->count; i++) {
        if (observations->items[i].instance.value == instance.value) {
            return &observations->items[i];
        }
    }
    return NULL;
}

bool observation_is_fresh(const struct observation *observation,
                          uint64_t now_ms,
                          uint64_t age_ms_max)
{
    return observation != NULL && observation->session != 0 && observation->heard &&
           now_ms - observation->report_ms <= age_ms_max;
}

static struct observation *observation_of(struct observations *observations,
                                          struct instance_id instance)
{
    for (uint32_t i = 0; i < observations->count; i++) {
        if (observations->items[i].instance.value == instance.value) {
            return &observations->items[i];
        }
    }
    if (observations->count == SHARD_INSTANCES_MAX) {
        return NULL;
    }
    struct observation *item = &observations->items[observations->count];
    memset(item, 0, sizeof(*item));
    item->instance = instance;
    observations->count++;
    return item;
}

/* What is known of folders that are not registered any more is forgotten. */
static void note_folders(struct observations *observations, const struct shard_view *view)
{
    struct marks before = observations->marks;

    observations->folders_count = 0;
    for (uint32_t i = 0; i < view->instances_count; i++) {
        observations->folders[observations->folders_count++] = (struct sync_member){
            .instance = view->instances[i].id, .incarnation = view->instances[i].incarnation};
    }
    observations->marks = (struct marks){.acked = before.acked};
    note_marks(observations, &before);
}

static void note_marks(struct observations *observations, const struct marks *marks)
{
    struct marks known = {.acked = marks->acked};

    for (uint32_t i = 0; i < observations->folders_count; i++) {
        marks_raise(&known, observations->folders[i], marks_of(marks, observations->folders[i]));
    }
    marks_merge(&observations->marks, &known);
}

/* Keeps, per standby, when it last streamed from this primary, for T_shrink. The count starts anew
 * with another primary: its standbys need time to connect. */
static void note_streaming(struct observations *observations,
                           const struct observation *primary,
                           uint64_t now_ms)
{
    const struct report *report = &primary->report;
    if (observations->primary_of.value != primary->instance.value ||
        observations->primary_inc.value != report->incarnation.value ||
        observations->primary_epoch.value != report->writable_epoch.value) {
        observations->primary_of = primary->instance;
        observations->primary_inc = report->incarnation;
        observations->primary_epoch = report->writable_epoch;
        observations->primary_since_ms = now_ms;
    }
    for (uint32_t i = 0; i < report->streaming_count && i < SYNC_SET_MAX; i++) {
        struct observation *standby = observation_of(observations, report->streaming[i].instance);
        if (standby == NULL) {
            continue;
        }
        standby->streamed_ms = now_ms;
        standby->streamed_inc = report->streaming[i].incarnation;
    }
}
