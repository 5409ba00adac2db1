/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's table: the first row that fits (goal role, instance state, condition) decides. Only
 * keeper.c, keeper_folder.c and the tests look inside. */
#ifndef INDABA_REPLICATION_KEEPER_TABLE_H
#define INDABA_REPLICATION_KEEPER_TABLE_H

#include "replication/keeper.h"

/* What a condition may look at. */
struct keeper_look {
    const struct keeper_facts *facts;
    const struct keeper_state *state;
    const struct goal *goal;
};

/* What is persisted before the action. */
enum keeper_effect {
    EFFECT_NONE,
    EFFECT_ADOPT,           /* the goal: epoch, index, role, from whom to be cut */
    EFFECT_FENCED,          /* the goal's own epoch is over here */
    EFFECT_FENCED_BEFORE,   /* everything below the goal's epoch is over here */
    EFFECT_NEW_FOLDER,      /* a new incarnation, not complete yet */
    EFFECT_FOLDER_COMPLETE, /* it is */
    EFFECT_WRITABLE,        /* from now on the database may be writable under the goal's epoch */
    EFFECT_PROMOTED,        /* timeline and fork as read back */
};

struct keeper_row {
    uint32_t roles;  /* bits of enum goal_role */
    uint32_t states; /* bits of enum instance_state */
    bool (*when)(const struct keeper_look *look);
    const char *when_text;
    enum keeper_action_kind action;
    enum keeper_effect effect;
    const char *why;
};

/* keeper_folder.c */
/* Its WAL leaves the history that is to be followed. */
bool keeper_cannot_follow(const struct keeper_look *look);
bool keeper_cannot_follow_in_record(const struct keeper_look *look);
/* The upstream has not the WAL any more that it needs. */
bool keeper_wal_is_lost(const struct keeper_look *look);
bool keeper_wal_is_lost_in_record(const struct keeper_look *look);
/* Whether it holds our history alone (model/lineage.h). */
bool keeper_lineage_is_unknown(const struct keeper_look *look);
bool keeper_lineage_is_doubted(const struct keeper_look *look);
bool keeper_doubted_and_upstream_answers(const struct keeper_look *look);

extern const struct keeper_row KEEPER_ROWS[];
extern const uint32_t KEEPER_ROWS_COUNT;

#endif
