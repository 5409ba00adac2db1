/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a sidecar listens to: the coordinators that it knows by name and id, learned from them,
 * never from one host alone. Who leads must be one of them; a goal that weakens the shard's mode or
 * jumps far ahead, and a higher cluster epoch, are weighed against what the others say. Pure.
 *
 * Somebody becomes one of them when two that we know name it, or one does and it answers for itself
 * under its own certificate; the very first ones when two of the configured addresses name them (or
 * the only one). Whoever none of the others names goes, once half of the record has said so. */
#ifndef INDABA_REPLICATION_SPEAKERS_H
#define INDABA_REPLICATION_SPEAKERS_H

#include "model/goal.h"

enum {
    SPEAKERS_MAX = MEMBERS_MAX,
    /* Attempts to replace a primary add one each; so many may have come and gone unseen. */
    SPEAKERS_EPOCH_LEAP = 64,
};

struct speaker {
    struct member_id id;
    char name[NAME_SIZE];
    char api_address[ADDRESS_SIZE];
};

struct speakers {
    struct speaker items[SPEAKERS_MAX];
    uint32_t count;       /* 0: none was met yet */
    enum shard_mode mode; /* of the last goal that was taken; 0: of none yet */
};

/* What one member says, who answered under the certificate of `from`. */
struct speakers_answer {
    char from[NAME_SIZE];
    struct speaker members[SPEAKERS_MAX];
    uint32_t members_count;
    uint32_t cluster_epoch;
    struct epoch epoch;   /* the shard's highest; 0 if it knows none */
    enum shard_mode mode; /* 0 likewise */
};

/* Everybody was asked once. */
struct speakers_round {
    struct speakers_answer answers[SPEAKERS_MAX];
    uint32_t count;
    uint32_t asked; /* different addresses */
};

/* Adds an answer; one that names nobody, or comes under the same certificate again, is dropped. */
void speakers_round_add(struct speakers_round *round, const struct speakers_answer *answer);

bool speakers_know(const struct speakers *speakers, struct member_id id, const char *name);
/* What the record is after this round. True if it differs. */
bool speakers_learn(struct speakers *speakers, const struct speakers_round *round);
/* Those that somebody we know names and that did not answer yet: to be asked next. Returns how many
 * there are, at most SPEAKERS_MAX. */
uint32_t speakers_candidates(const struct speakers *speakers,
                             const struct speakers_round *round,
                             struct speaker *candidates_out);

/* `speaker` says that the cluster was recovered by force into this cluster epoch. It is followed
 * unless more than half of those that we know answer that they know nothing of it: after a
 * recovery there may be nobody else left who could confirm it. */
bool speakers_follow(const struct speakers *speakers,
                     const struct speakers_round *round,
                     const char *speaker,
                     uint32_t cluster_epoch);
/* The cluster was recovered, and only `name` is left of those that we knew. */
void speakers_keep_only(struct speakers *speakers, const char *name);

/* Whether this goal, from one of them, needs another one's word. `obeyed`: the highest epoch that
 * was. */
bool speakers_must_confirm(const struct speakers *speakers,
                           struct epoch obeyed,
                           uint32_t cluster_epoch,
                           const struct goal *goal);
/* Whether another one than `speaker` bears the goal out. */
bool speakers_confirm(const struct speakers *speakers,
                      const struct speakers_round *round,
                      const char *speaker,
                      const struct goal *goal);

#endif
