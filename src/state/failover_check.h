/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a failover share: loading the record in the step an order expects, the quorum
 * of its reports, moving on. */
#ifndef INDABA_STATE_FAILOVER_CHECK_H
#define INDABA_STATE_FAILOVER_CHECK_H

#include "state/handler.h"

/* Loads the shard of the order and refuses unless its failover has the order's epoch and step. */
bool failover_load(struct handler *handler, enum failover_step step, struct shard_view *view_out);

/* Do the order's reports satisfy R + W > |S| in every recorded pair, counting only reports of the
 * present incarnations? */
bool failover_reports_are_quorum(const struct handler *handler, const struct shard_view *view);

/* Each report is of an instance of the shard other than the old primary, once, under its present
 * incarnation, with a position on a timeline that can exist. Refuses otherwise. */
bool failover_reports_are_valid(struct handler *handler, const struct shard_view *view);

/* Adds to the record what is known of folders that are registered now. What cannot be (a timeline
 * that was never reserved) is left out. */
void failover_take_marks(struct handler *handler,
                         struct shard_view *view,
                         const struct marks *marks);

/* The order's own report of the old primary may be noted: asked for, of the folder that took
 * office, below no mark. Refuses otherwise. */
bool failover_own_is_valid(struct handler *handler, const struct shard_view *view);

/* See shard_timelines_given. */
uint32_t failover_timelines_given(const struct handler *handler, const struct shard_view *view);

/* A restart in place rests on the primary's own data: refuses if its folder is another one now. */
bool failover_primary_keeps_folder(struct handler *handler, const struct shard_view *view);

/* Moves the record to `step`, stamps it, stores the view. The one place where a step changes after
 * begin; the edge is checked. */
void failover_advance(struct handler *handler, struct shard_view *view, enum failover_step step);

/* Stores a record that is no longer the shard's last one. */
void failover_store_aborted(struct change *change, const struct failover *failover);

#endif
