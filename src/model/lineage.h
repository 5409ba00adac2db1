/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a data folder holds a prefix of its shard's history and nothing else. Its name, the
 * number of its timeline and a high position prove nothing: people start standbys writable, promote
 * them by hand, put another folder in their place, and let them follow again. What proves it is an
 * *anchor*, a place up to which its own sidecar watched it, and that what its WAL holds behind the
 * anchor was received and not made there: whoever makes WAL in the folder of a standby ends a
 * recovery first, and that leaves a mark in the WAL, in the number of the timeline, or in the
 * control file. Pure: the evidence comes in, a verdict goes out (docs/safety.md, section 2). */
#ifndef INDABA_MODEL_LINEAGE_H
#define INDABA_MODEL_LINEAGE_H

#include "base/ids.h"
#include "model/position.h"

/* What a sidecar keeps of the folder that it runs, at most a second or two old. */
struct lineage_anchor {
    uint64_t incarnation;     /* of this folder; 0: nothing is known */
    struct position position; /* all up to here was replayed, or written in office */
    uint64_t fingerprint;     /* of the WAL that ends there; 0: not known */
    uint64_t writable_epoch;  /* under which it had last been writable when it ran as a standby */
};

bool lineage_anchor_equal(const struct lineage_anchor *a, const struct lineage_anchor *b);

/* The same place on the timeline that it belongs to: below the fork of its timeline it is of the
 * parent. Forks oldest first. */
struct position
lineage_place(struct position position, const struct fork *forks, uint32_t forks_count);

/* A timeline by the record and by a folder that has it: others than the record's primary may have
 * taken its number, at the same place even. */
struct lineage_step {
    struct fork record;       /* as the shard's record has it */
    uint32_t parent_timeline; /* by the folder's own history file; 0: it has none … */
    uint64_t fork_lsn;
    bool announced; /* its WAL begins with the word of whoever was promoted in that epoch */
};

/* The fork at which the shard's history leaves this place's timeline, if it was opened in an epoch
 * up to `led`; NULL: none. Forks oldest first. */
const struct fork *lineage_next(struct position position,
                                const struct fork *forks,
                                uint32_t forks_count,
                                struct epoch led);
/* Where its timeline begins. */
struct position lineage_fork_place(const struct fork *fork);
/* Whether what the folder has is the record's. */
bool lineage_step_is_ours(const struct lineage_step *step);

/* What was found in a folder of which nothing runs. */
struct lineage_evidence {
    bool same_folder;         /* in it is the nonce that the sidecar's last start left there */
    bool copy;                /* it is a base backup of the sidecar's own that was never started */
    bool label;               /* it has a backup_label, and is no such copy */
    bool office;              /* it was made writable by order since it last ran as a standby */
    bool writable;            /* its control file says that its last run was no standby's */
    struct position anchor;   /* timeline 0: none */
    uint32_t newest_timeline; /* of its WAL … */
    uint32_t led_timeline; /* … and of those that the record led it to: the anchor's, or later */
    bool wal_found;        /* its WAL reaches back to the anchor */
    uint64_t fingerprint;  /* of the WAL that ended at the anchor when it was watched; 0 … */
    bool other_wal;        /* … not known; there it has another one now */
    bool recovery_ended;   /* behind the anchor a recovery was ended, and writing went on */
    uint64_t checkpoint_lsn; /* where a start of it would begin … */
    bool checkpoint_found;   /* … and its WAL has it there; of one behind the anchor */
};

/* NULL: proven. Otherwise why not, for people; static. */
const char *lineage_doubt(const struct lineage_evidence *evidence);

#endif
