/* SPDX-License-Identifier: Apache-2.0 */
/* What the planner's tests start from: a sync shard of three, S = {2, 3}, W = 1, primary 1 of epoch
 * 4 on timeline 5, everybody heard. */
#ifndef INDABA_TESTS_UNIT_DECIDE_PLANNER_FIXTURE_H
#define INDABA_TESTS_UNIT_DECIDE_PLANNER_FIXTURE_H

#include "decide/failover_planner.h"

enum {
    NOW_MS = 20000,
};

extern struct shard_view view;
extern struct observations heard;
extern struct plan plan; /* of the last question */
extern bool lease_ended;
extern uint32_t cluster_epoch;

int set_up(void **state);
void say(uint32_t instance, struct report report, uint64_t at_ms);
/* A standby, cut from 1 for the present epoch, with so much WAL. */
void say_cut(uint32_t instance, uint64_t lsn);
/* The primary is fenced, its folder whole, and its guardian saw it end. */
void say_fenced(uint64_t redo_bytes);
/* A failover of epoch 5 against 1, in this step since NOW_MS. */
void enter(enum failover_step step);
enum command_kind ask(uint64_t now_ms);

#endif
