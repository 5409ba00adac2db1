/* SPDX-License-Identifier: Apache-2.0 */
/* Repeats, folded: whoever can make us say a thing can make us say it a thousand times a second.
 * The first of a kind is due at once; those that follow are counted and due together, after pauses
 * that double up to a bound. A kind that was quiet for twice its pause begins anew. A table of
 * FOLD_KINDS_MAX; when all of them are busy, further ones count as one kind, FOLD_OTHERS. Pure: the
 * time is an argument, one thread at a time. */
#ifndef INDABA_BASE_FOLD_H
#define INDABA_BASE_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#define FOLD_OTHERS "others"

enum {
    FOLD_TEXT_SIZE = 256, /* longer texts are cut, and equal if equal up to there */
    FOLD_NOTE_SIZE = 128,
    FOLD_KINDS_MAX = 64,
    FOLD_PAUSE_MIN_MS = 1000,
};

struct fold_kind {
    char text[FOLD_TEXT_SIZE]; /* "": free */
    char note[FOLD_NOTE_SIZE]; /* of the last one */
    uint64_t hidden;           /* happened and not yet told */
    uint64_t due_ms;
    uint64_t last_ms;
    uint64_t pause_ms;
};

struct fold {
    uint64_t pause_max_ms; /* set by the owner, the rest is zero at first */
    struct fold_kind kinds[FOLD_KINDS_MAX];
    struct fold_kind others;
};

/* One kind that is due. */
struct fold_told {
    uint64_t count; /* how often it happened since it was told last */
    char text[FOLD_TEXT_SIZE];
    char note[FOLD_NOTE_SIZE];
};

/* It happened (once more). The text tells kinds apart; the note is only told with the last. */
void fold_add(struct fold *fold, const char *text, const char *note, uint64_t now_ms);
/* False: none is due, and `told` is untouched. */
bool fold_due(struct fold *fold, uint64_t now_ms, struct fold_told *told);

#endif
