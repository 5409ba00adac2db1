/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of the keeper's table about the data folder: does it hold this shard's history alone,
 * and can it follow the newest of it? */
#include "replication/keeper_table.h"

/* Its own WAL leaves the history that is to be followed. Of one that is stopped it is known how far
 * it must come at least: a start that could not end would be tried for ever. */
bool keeper_cannot_follow(const struct keeper_look *look)
{
    const struct goal *goal = look->goal;
    const struct keeper_facts *facts = look->facts;

    if (goal->fork.timeline == 0) {
        return false;
    }
    if (facts->position.timeline == 0) {
        return facts->needs.timeline != 0 &&
               !position_can_follow_history(facts->needs, goal->history, goal->history_count);
    }
    if (!position_can_follow_history(facts->position, goal->history, goal->history_count)) {
        return true;
    }
    /* Where its timeline was left is not known: it tried, and the primary does not stream to it. */
    return position_is_in_gap(facts->position, goal->history, goal->history_count) &&
           !facts->receiver_streaming && facts->primary_reach == REACH_OK &&
           facts->primary_reach_of.value == goal->upstream.value &&
           facts->primary_reach_ms >= KEEPER_GAP_MS;
}

bool keeper_cannot_follow_in_record(const struct keeper_look *look)
{
    return keeper_cannot_follow(look) && look->goal->in_record;
}

/* It asked again and again, and the primary answers that it has not the WAL any more. */
bool keeper_wal_is_lost(const struct keeper_look *look)
{
    const struct keeper_facts *facts = look->facts;

    return facts->wal_lost && !facts->receiver_streaming &&
           facts->conninfo_of.value == look->goal->upstream.value &&
           facts->primary_reach == REACH_OK &&
           facts->primary_reach_of.value == look->goal->upstream.value &&
           facts->primary_reach_ms >= KEEPER_GAP_MS;
}

/* The record lets go of it while the others are enough. If it does not, no write is acknowledged
 * before somebody is built anew, and the primary, which answers, has all that was. */
bool keeper_wal_is_lost_in_record(const struct keeper_look *look)
{
    return keeper_wal_is_lost(look) && look->goal->in_record &&
           look->facts->wal_lost_ms < KEEPER_LOST_MS;
}

/* Where a primary is to go on in place its guardian's word is enough: it saw the end of what it had
 * made writable, and whatever was written into the folder since lies behind that. What INIT made
 * has never run. */
static bool needs_proof(const struct keeper_look *look)
{
    const struct keeper_facts *facts = look->facts;
    bool goes_on = facts->continuous && look->goal->role != GOAL_STANDBY;

    return !look->goal->bootstrap && !(facts->state == INSTANCE_STOPPED && goes_on);
}

bool keeper_lineage_is_unknown(const struct keeper_look *look)
{
    return look->facts->lineage == LINEAGE_UNKNOWN && needs_proof(look);
}

bool keeper_lineage_is_doubted(const struct keeper_look *look)
{
    return look->facts->lineage == LINEAGE_DOUBTED && needs_proof(look);
}

bool keeper_doubted_and_upstream_answers(const struct keeper_look *look)
{
    return keeper_lineage_is_doubted(look) && look->facts->primary_reach == REACH_OK &&
           look->facts->primary_reach_of.value == look->goal->upstream.value;
}
