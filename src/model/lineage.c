/* SPDX-License-Identifier: Apache-2.0 */
/* See model/lineage.h. */
#include "model/lineage.h"

#include <stddef.h>

bool lineage_anchor_equal(const struct lineage_anchor *a, const struct lineage_anchor *b)
{
    return a->incarnation == b->incarnation && a->writable_epoch == b->writable_epoch &&
           a->fingerprint == b->fingerprint && position_compare(a->position, b->position) == 0;
}

struct position
lineage_place(struct position position, const struct fork *forks, uint32_t forks_count)
{
    for (uint32_t i = forks_count; i > 0; i--) {
        const struct fork *fork = &forks[i - 1];
        if (fork->timeline == position.timeline && position.lsn < fork->fork_lsn) {
            position.timeline = fork->parent_timeline;
        }
    }
    return position;
}

const struct fork *lineage_next(struct position position,
                                const struct fork *forks,
                                uint32_t forks_count,
                                struct epoch led)
{
    for (uint32_t i = 0; i < forks_count; i++) {
        const struct fork *fork = &forks[i];
        if (fork->parent_timeline == position.timeline && fork->timeline > position.timeline) {
            return position.lsn <= fork->fork_lsn && fork->epoch <= led.value ? fork : NULL;
        }
    }
    return NULL;
}

struct position lineage_fork_place(const struct fork *fork)
{
    return (struct position){.timeline = fork->timeline, .lsn = fork->fork_lsn};
}

bool lineage_step_is_ours(const struct lineage_step *step)
{
    return step->announced && step->parent_timeline == step->record.parent_timeline &&
           step->fork_lsn == step->record.fork_lsn;
}

/* What is written into the folder of a primary after its end lies behind all that was acknowledged:
 * there it is no doubt, and a standby of the next primary is told by its position. */
const char *lineage_doubt(const struct lineage_evidence *evidence)
{
    if (!evidence->same_folder && !evidence->copy) {
        return "another folder is in its place: it may hold less than it once did, or other things";
    }
    if (evidence->anchor.timeline == 0) {
        return "nothing is on record of what it held while its sidecar ran it";
    }
    if (evidence->label) {
        return "somebody put a backup_label into it, and no start by that may come to an end: to "
               "have "
               "this folder back, remove it and start the sidecar again";
    }
    if (evidence->newest_timeline > evidence->led_timeline) {
        return "it went to another timeline while its sidecar was away";
    }
    if (evidence->writable && !evidence->office && !evidence->copy) {
        return "it was started writable while its sidecar was away";
    }
    if (!evidence->wal_found) {
        return "its WAL does not reach back to where its sidecar saw it last";
    }
    if (evidence->other_wal) {
        return "its WAL is not what its sidecar saw in it";
    }
    if (evidence->recovery_ended && !evidence->office) {
        return "somebody wrote into it while its sidecar was away";
    }
    if (evidence->checkpoint_lsn >= evidence->anchor.lsn && !evidence->checkpoint_found) {
        return "its control file names a checkpoint that is not in its WAL";
    }
    return NULL;
}
