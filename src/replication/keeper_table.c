/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's table and its conditions. Order matters: dangerous states first. */
#include "replication/keeper_table.h"

#include "base/check.h"

#include <string.h>

#define ANY_ROLE    ((1u << GOAL_ROLE_COUNT) - 1)
#define ANY_STATE   ((1u << INSTANCE_STATE_COUNT) - 1)
#define ROLE(name)  (1u << (GOAL_##name))
#define STATE(name) (1u << (INSTANCE_##name))
#define NOT_PRIMARY (ANY_ROLE & ~ROLE(PRIMARY))
#define COMPLETE    (STATE(STOPPED) | STATE(STARTING) | STATE(STANDBY) | STATE(PRIMARY))
#define RUNNING     (STATE(STARTING) | STATE(STANDBY) | STATE(PRIMARY) | STATE(HUNG) | STATE(UNKNOWN))
#define STILL       (STATE(STOPPED) | STATE(EMPTY) | STATE(BUILDING))

static bool always(const struct keeper_look *look)
{
    return look != NULL;
}

static bool goal_is_stale(const struct keeper_look *look)
{
    return look->goal->epoch.value < look->state->epoch.value ||
           (look->goal->epoch.value == look->state->epoch.value &&
            look->goal->index < look->state->goal_index);
}

static bool goal_is_new(const struct keeper_look *look)
{
    return look->goal->epoch.value > look->state->epoch.value ||
           look->goal->index > look->state->goal_index;
}

/* Each folder of ours was given its incarnation before it was made. */
static bool folder_is_foreign(const struct keeper_look *look)
{
    return look->state->incarnation.value == 0;
}

static bool folder_is_complete(const struct keeper_look *look)
{
    return look->state->building;
}

static bool epoch_is_over(const struct keeper_look *look)
{
    return look->state->fenced_epoch.value >= look->goal->epoch.value;
}

static bool may_init(const struct keeper_look *look)
{
    return look->goal->bootstrap && !look->state->building;
}

static bool init_is_due(const struct keeper_look *look)
{
    return look->goal->bootstrap && look->state->building;
}

static bool was_writable_now(const struct keeper_look *look)
{
    return look->state->writable_epoch.value == look->goal->epoch.value;
}

static bool promotion_broke(const struct keeper_look *look)
{
    return was_writable_now(look) && look->facts->running != KEEPER_PROMOTE;
}

static bool not_of_this_epoch(const struct keeper_look *look)
{
    return !was_writable_now(look);
}

static bool may_not_promote(const struct keeper_look *look)
{
    return !look->goal->may_promote;
}

static bool has_upstream(const struct keeper_look *look)
{
    return look->facts->conninfo_of.value != 0 || look->facts->receiver_running;
}

static bool position_is_open(const struct keeper_look *look)
{
    return !look->facts->position_final;
}

static bool is_below_floor(const struct keeper_look *look)
{
    return position_compare(look->facts->position, look->goal->floor) < 0;
}

static bool has_no_lease(const struct keeper_look *look)
{
    return look->facts->lease_epoch.value != look->goal->epoch.value;
}

static bool fork_is_unknown(const struct keeper_look *look)
{
    return look->facts->fork.timeline == 0;
}

static bool fork_is_wrong(const struct keeper_look *look)
{
    return look->facts->fork.timeline != look->goal->timeline ||
           look->facts->fork.fork_lsn < look->goal->floor.lsn;
}

static bool fork_is_unsaid(const struct keeper_look *look)
{
    return look->state->promoted_fork.epoch != look->goal->epoch.value;
}

static bool sync_differs(const struct keeper_look *look)
{
    return look->facts->put_back || (look->goal->mode == SHARD_SYNC &&
                                     look->facts->sync_set_version != look->goal->sync_version);
}

static bool slots_differ(const struct keeper_look *look)
{
    return look->facts->slots_epoch.value != look->goal->epoch.value ||
           look->facts->slots_index != look->goal->index;
}

static bool canary_is_due(const struct keeper_look *look)
{
    return look->facts->canary_epoch.value != look->goal->epoch.value;
}

static bool sync_is_unconfirmed(const struct keeper_look *look)
{
    return look->goal->mode == SHARD_SYNC &&
           look->facts->sync_confirmed_version != look->goal->sync_version;
}

static bool hung_as_primary(const struct keeper_look *look)
{
    return look->facts->hung_ms >= KEEPER_HUNG_PRIMARY_MS;
}

static bool hung_as_standby(const struct keeper_look *look)
{
    return look->facts->hung_ms >= KEEPER_HUNG_STANDBY_MS;
}

static bool hung_in_a_cut(const struct keeper_look *look)
{
    return look->facts->hung_ms >= KEEPER_HUNG_CUT_MS;
}

static bool writable_not_over(const struct keeper_look *look)
{
    return look->state->writable_epoch.value > look->state->fenced_epoch.value;
}

static bool is_to_drain(const struct keeper_look *look)
{
    return look->goal->drain;
}

static bool is_draining(const struct keeper_look *look)
{
    return look->goal->drain && look->facts->running == KEEPER_STOP;
}

static bool before_is_not_over(const struct keeper_look *look)
{
    return look->state->fenced_epoch.value + 1 < look->goal->epoch.value;
}

static bool cut_in_this_epoch(const struct keeper_look *look)
{
    return look->state->cut_from.value == look->goal->upstream.value &&
           look->goal->upstream.value != 0 &&
           look->state->cut_epoch.value >= look->goal->epoch.value &&
           look->goal->fork.epoch < look->state->cut_epoch.value;
}

static bool needs_new_folder(const struct keeper_look *look)
{
    return !look->state->building && look->goal->upstream.value != 0;
}

static bool clone_is_due(const struct keeper_look *look)
{
    return look->state->building && look->goal->upstream.value != 0;
}

static bool settings_are_too_low(const struct keeper_look *look)
{
    return look->facts->settings_too_low;
}

static bool cut_differs(const struct keeper_look *look)
{
    return has_upstream(look) || look->facts->put_back;
}

static bool follows_another(const struct keeper_look *look)
{
    return look->facts->put_back || look->facts->nameless ||
           look->facts->conninfo_of.value != look->goal->upstream.value ||
           strcmp(look->facts->conninfo_address, look->goal->upstream_address) != 0;
}

/* clang-format off */
const struct keeper_row KEEPER_ROWS[] = {
    {ANY_ROLE, ANY_STATE, goal_is_stale, "goal older than the persisted one",
     KEEPER_REFUSE, EFFECT_NONE, "a later goal was already obeyed"},
    {ANY_ROLE, ANY_STATE, goal_is_new, "goal newer than the persisted one",
     KEEPER_PERSIST, EFFECT_ADOPT, "a goal is persisted before anything is done for it"},
    {ANY_ROLE, STATE(STOPPED), folder_is_foreign, "a folder with data, and no record of it",
     KEEPER_WAIT, EFFECT_NONE, "not made by this sidecar: left alone; give it an empty folder"},
    {ANY_ROLE, COMPLETE, folder_is_complete, "new data folder, complete now",
     KEEPER_PERSIST, EFFECT_FOLDER_COMPLETE, "the new data folder is complete"},

    /* PRIMARY */
    {ROLE(PRIMARY), STATE(PRIMARY), not_of_this_epoch, "made writable under another epoch",
     KEEPER_FENCE, EFFECT_NONE, "it is the primary of another epoch"},
    {ROLE(PRIMARY), STATE(PRIMARY), epoch_is_over, "the epoch was reported over",
     KEEPER_FENCE, EFFECT_NONE, "this epoch is over here, yet something writable runs"},
    {ROLE(PRIMARY), RUNNING, epoch_is_over, "the epoch was reported over",
     KEEPER_WAIT, EFFECT_NONE, "this epoch is over here: the coordinators choose"},
    {ROLE(PRIMARY), STILL, epoch_is_over, "the epoch was reported over",
     KEEPER_WAIT, EFFECT_NONE, "this epoch is over here: the coordinators choose"},
    {ROLE(PRIMARY), STATE(EMPTY), may_init, "bootstrap, no incarnation yet",
     KEEPER_PERSIST, EFFECT_NEW_FOLDER, "the first data folder gets its incarnation"},
    {ROLE(PRIMARY), STATE(EMPTY), init_is_due, "bootstrap",
     KEEPER_INIT, EFFECT_NONE, "the shard has never had data"},
    {ROLE(PRIMARY), STATE(EMPTY), always, "",
     KEEPER_PERSIST, EFFECT_FENCED, "the data folder is gone: this epoch is over here"},
    {ROLE(PRIMARY), STATE(HUNG), hung_as_primary, "for longer than 5 s",
     KEEPER_FENCE, EFFECT_NONE, "a primary that hangs keeps its clients waiting"},
    {ROLE(PRIMARY), STATE(STOPPED), was_writable_now, "was writable under this epoch",
     KEEPER_PERSIST, EFFECT_FENCED, "the database is gone: this epoch is over here"},
    {ROLE(PRIMARY), STATE(STOPPED), may_not_promote, "promoted by record",
     KEEPER_PERSIST, EFFECT_FENCED, "not the folder that was promoted: this epoch is over here"},
    {ROLE(PRIMARY), STATE(STOPPED), keeper_lineage_is_unknown, "history not proven yet",
     KEEPER_PROVE, EFFECT_NONE, "who else may have written into the folder?"},
    {ROLE(PRIMARY), STATE(STOPPED), keeper_lineage_is_doubted, "history not provable",
     KEEPER_PERSIST, EFFECT_FENCED, "its history may be another one: this epoch is over here"},
    {ROLE(PRIMARY), STATE(STOPPED), always, "",
     KEEPER_START, EFFECT_NONE, "every start is a start as standby"},
    {ROLE(PRIMARY), STATE(STANDBY), promotion_broke, "was writable under this epoch",
     KEEPER_FENCE, EFFECT_NONE, "a broken promotion is not repeated under the same epoch"},
    {ROLE(PRIMARY), STATE(STANDBY), may_not_promote, "promoted by record",
     KEEPER_PERSIST, EFFECT_FENCED, "not the folder that was promoted: this epoch is over here"},
    {ROLE(PRIMARY), STATE(STANDBY), has_upstream, "still has an upstream",
     KEEPER_CUT, EFFECT_NONE, "nothing may arrive any more"},
    {ROLE(PRIMARY), STATE(STANDBY), settings_are_too_low, "settings too low",
     KEEPER_STOP, EFFECT_NONE, "a start gives it room for its siblings, without which it is not opened"},
    {ROLE(PRIMARY), STATE(STANDBY), position_is_open, "end of WAL not known",
     KEEPER_FINAL_POSITION, EFFECT_NONE, "the position must be final before it is judged"},
    {ROLE(PRIMARY), STATE(STANDBY), is_below_floor, "position below the floor",
     KEEPER_PERSIST, EFFECT_FENCED, "holds less than it must: this epoch is over here"},
    {ROLE(PRIMARY), STATE(STANDBY), has_no_lease, "no lease of this epoch",
     KEEPER_WAIT, EFFECT_NONE, "waiting for the lease: promotion needs a running one"},
    {ROLE(PRIMARY), STATE(STANDBY), always, "lease runs, position at or above the floor",
     KEEPER_PROMOTE, EFFECT_WRITABLE, "decided: promote to the reserved timeline"},
    {ROLE(PRIMARY), STATE(PRIMARY), fork_is_unknown, "fork not read back yet",
     KEEPER_WAIT, EFFECT_NONE, "reading back timeline and fork point"},
    {ROLE(PRIMARY), STATE(PRIMARY), fork_is_wrong, "timeline or fork point differ",
     KEEPER_FENCE, EFFECT_NONE, "not the timeline that was reserved"},
    {ROLE(PRIMARY), STATE(PRIMARY), fork_is_unsaid, "fork read back",
     KEEPER_PERSIST, EFFECT_PROMOTED, "promoted and verified"},
    {ROLE(PRIMARY), STATE(PRIMARY), sync_differs, "setting differs from goal.sync, or was changed",
     KEEPER_SET_SYNC, EFFECT_NONE, "the setting follows the record, and nobody else"},
    {ROLE(PRIMARY), STATE(PRIMARY), slots_differ, "slots not made for this goal",
     KEEPER_SLOTS, EFFECT_NONE, "siblings need their slots before they are pointed here"},
    {ROLE(PRIMARY), STATE(PRIMARY), canary_is_due, "no canary under this epoch",
     KEEPER_CANARY, EFFECT_NONE, "a commit must be confirmed, or be seen to wait, before opening"},
    {ROLE(PRIMARY), STATE(PRIMARY), sync_is_unconfirmed, "setting not seen in force",
     KEEPER_CONFIRM_SYNC, EFFECT_NONE, "the setting must be in force at every walsender"},
    {ROLE(PRIMARY), STATE(PRIMARY), always, "",
     KEEPER_NONE, EFFECT_NONE, "primary"},
    {ROLE(PRIMARY), RUNNING | STILL, always, "",
     KEEPER_WAIT, EFFECT_NONE, "waiting for the database to answer"},

    /* A planned move: the lease runs out meanwhile, and the guardian ends it then. */
    {ROLE(FENCED), STATE(PRIMARY), is_to_drain, "planned: to be drained",
     KEEPER_STOP, EFFECT_NONE, "it stops once its standbys have everything"},
    {ROLE(FENCED), RUNNING, is_draining, "planned: being drained",
     KEEPER_WAIT, EFFECT_NONE, "it stops once its standbys have everything"},

    /* Everyone else: first make sure that nothing writable is left. */
    {NOT_PRIMARY, STATE(PRIMARY), always, "",
     KEEPER_FENCE, EFFECT_NONE, "it may not be the primary any more"},
    {NOT_PRIMARY, RUNNING, writable_not_over, "was writable, and not reported over",
     KEEPER_FENCE, EFFECT_NONE, "it may be writable"},
    {NOT_PRIMARY, STILL, writable_not_over, "was writable, and not reported over",
     KEEPER_PERSIST, EFFECT_FENCED_BEFORE, "nothing of the database is left: its epoch is over"},

    /* STANDBY */
    {ROLE(STANDBY), ANY_STATE, cut_in_this_epoch, "cut from this upstream in this epoch",
     KEEPER_WAIT, EFFECT_NONE, "re-attaching needs a later promotion"},
    {ROLE(STANDBY), STATE(EMPTY), needs_new_folder, "no incarnation yet",
     KEEPER_PERSIST, EFFECT_NEW_FOLDER, "a new data folder is a new standby"},
    {ROLE(STANDBY), STATE(EMPTY), clone_is_due, "",
     KEEPER_CLONE, EFFECT_NONE, "base backup of the primary"},
    {ROLE(STANDBY), STATE(STOPPED), keeper_lineage_is_unknown, "history not proven yet",
     KEEPER_PROVE, EFFECT_NONE, "who else may have written into the folder?"},
    {ROLE(STANDBY), STATE(STOPPED), keeper_doubted_and_upstream_answers, "history not provable, primary answers",
     KEEPER_REBUILD, EFFECT_NONE, "its history may be another one: kept aside, built anew"},
    {ROLE(STANDBY), STATE(STOPPED), keeper_lineage_is_doubted, "history not provable",
     KEEPER_WAIT, EFFECT_NONE, "its history may be another one: it is built anew once the primary answers"},
    {ROLE(STANDBY) | ROLE(CUT), STATE(STANDBY), keeper_lineage_is_unknown, "received from a stranger",
     KEEPER_STOP, EFFECT_NONE, "it received from somebody who is not of the shard: to be proven anew"},
    {ROLE(STANDBY), STATE(STOPPED) | STATE(STANDBY), keeper_cannot_follow_in_record,
     "cannot follow, and is named in the sync record",
     KEEPER_WAIT, EFFECT_NONE, "this folder may hold acknowledged writes: it is not wiped"},
    {ROLE(STANDBY), STATE(STOPPED) | STATE(STANDBY), keeper_cannot_follow, "cannot follow",
     KEEPER_REBUILD, EFFECT_NONE, "its history left that of the primary: kept aside, built anew"},
    {ROLE(STANDBY), STATE(STOPPED), always, "",
     KEEPER_START, EFFECT_NONE, "start, following the primary"},
    {ROLE(STANDBY), STATE(HUNG), hung_as_standby, "for longer than 5 s",
     KEEPER_STOP, EFFECT_NONE, "a standby that hangs is started again"},
    {ROLE(STANDBY), STATE(STANDBY), keeper_wal_is_lost_in_record,
     "the WAL it needs is gone, and it is named in the sync record, since less than 20 s",
     KEEPER_WAIT, EFFECT_NONE, "the WAL it needs is gone: if the record does not let go of it, it is built anew"},
    {ROLE(STANDBY), STATE(STANDBY), keeper_wal_is_lost, "the WAL it needs is gone",
     KEEPER_REBUILD, EFFECT_NONE, "the primary has not the WAL any more that it needs: kept aside"},
    {ROLE(STANDBY), STATE(STANDBY), settings_are_too_low, "settings too low",
     KEEPER_STOP, EFFECT_NONE, "a start gives it what the primary has, and room for its siblings"},
    {ROLE(STANDBY), STATE(STANDBY), follows_another, "other upstream, or settings were changed",
     KEEPER_FOLLOW, EFFECT_NONE, "point it at the primary"},
    {ROLE(STANDBY), STATE(STANDBY), always, "",
     KEEPER_NONE, EFFECT_NONE, "standby"},
    {ROLE(STANDBY), ANY_STATE, always, "",
     KEEPER_WAIT, EFFECT_NONE, "waiting for the database to answer"},

    /* CUT */
    {ROLE(CUT), STATE(EMPTY) | STATE(BUILDING), always, "",
     KEEPER_WAIT, EFFECT_NONE, "no data folder: nothing to report"},
    {ROLE(CUT), STATE(STOPPED), keeper_lineage_is_unknown, "history not proven yet",
     KEEPER_PROVE, EFFECT_NONE, "who else may have written into the folder?"},
    {ROLE(CUT), STATE(STOPPED), keeper_lineage_is_doubted, "history not provable",
     KEEPER_WAIT, EFFECT_NONE, "its history may be another one: it counts for nothing"},
    {ROLE(CUT), STATE(STOPPED), always, "",
     KEEPER_START, EFFECT_NONE, "start detached, to learn the final position"},
    {ROLE(CUT), STATE(HUNG), hung_in_a_cut, "for longer than 1 s",
     KEEPER_STOP, EFFECT_NONE, "a standby that hangs cannot report: started again, detached"},
    {ROLE(CUT), STATE(STANDBY), cut_differs, "has an upstream, a receiver runs, or settings were changed",
     KEEPER_CUT, EFFECT_NONE, "receive nothing more from the old primary"},
    {ROLE(CUT), STATE(STANDBY), position_is_open, "end of WAL not known",
     KEEPER_FINAL_POSITION, EFFECT_NONE, "only a final position counts"},
    {ROLE(CUT), STATE(STANDBY), always, "",
     KEEPER_NONE, EFFECT_NONE, "cut, position final"},
    {ROLE(CUT), ANY_STATE, always, "",
     KEEPER_WAIT, EFFECT_NONE, "waiting for the database to answer"},

    /* FENCED */
    {ROLE(FENCED), STATE(STANDBY), has_upstream, "has an upstream, or a receiver runs",
     KEEPER_CUT, EFFECT_NONE, "receive nothing more"},
    {ROLE(FENCED), ANY_STATE, before_is_not_over, "earlier epochs not reported over",
     KEEPER_PERSIST, EFFECT_FENCED_BEFORE, "nothing writable is left: earlier epochs are over"},
    {ROLE(FENCED), ANY_STATE, always, "",
     KEEPER_NONE, EFFECT_NONE, "fenced"},

    /* WAIT */
    {ROLE(WAIT), ANY_STATE, always, "",
     KEEPER_NONE, EFFECT_NONE, "nothing assigned yet"},
};
/* clang-format on */

const uint32_t KEEPER_ROWS_COUNT = ARRAY_LEN(KEEPER_ROWS);
