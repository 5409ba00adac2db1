/* SPDX-License-Identifier: Apache-2.0 */
/* Whose word a member takes. Terms, votes, entries, heartbeats and snapshots count only from the
 * members that it knows; from somebody else only while more than half of the other voters that it
 * knows name him as a member (each for itself, over a link that its certificate opened), or a
 * person on this machine has vouched for him. An id that was removed is nobody's any more. Pure.
 *
 * Why a majority and not one: who was removed may still be known here. Why a person at all: whoever
 * could name the newcomer may be gone (docs/adr/0011). */
#ifndef INDABA_PEERS_VOICES_H
#define INDABA_PEERS_VOICES_H

#include "model/records.h"

enum {
    VOICES_STRANGERS_MAX = 16,
    VOICES_KNOWN_MAX = 4 * MEMBERS_MAX,
    VOICES_VOUCHED_MAX = 16,
    VOICES_ASK_MS = 500, /* a stranger is asked about that often */
};

/* What is thought of a sender. */
enum voices_standing {
    VOICES_STRANGER, /* not believed */
    VOICES_GONE,     /* removed for good: not believed, whoever names it */
    VOICES_NAMED,    /* by a majority of those that we know */
    VOICES_VOUCHED,  /* by a person */
    VOICES_KNOWN,    /* a member */
};

/* Who is believed for a name and an id together. */
struct voices_identity {
    struct member_id id;
    char name[NAME_SIZE];
};

struct voices_answer {
    struct member_id from;
    bool names_it;
};

/* Somebody who spoke and is no member that we know. One for each name, which its certificate
 * proves: with one certificate nobody fills the table. */
struct voices_stranger {
    struct voices_identity who;
    char address[ADDRESS_SIZE];
    uint64_t first_ms;
    uint64_t heard_ms;
    uint64_t asked_ms; /* 0: not asked about yet */
    uint64_t told_ms;  /* 0: people were not told yet */
    bool gone;
    bool looked_up; /* whether its id was removed is known: `gone` */
    struct voices_answer answers[VOICES_KNOWN_MAX]; /* the last of each */
    uint32_t answers_count;
};

struct voices {
    struct voices_identity known[VOICES_KNOWN_MAX]; /* the other members */
    bool counts[VOICES_KNOWN_MAX];                  /* its word about others does: a voter */
    uint32_t known_count;
    struct voices_identity vouched[VOICES_VOUCHED_MAX];
    uint32_t vouched_count;
    struct voices_stranger strangers[VOICES_STRANGERS_MAX];
    uint32_t strangers_count;
};

/* Who the other members are (ourselves are not among them). Answers of others are forgotten. */
void voices_forget_known(struct voices *voices);
void voices_know(struct voices *voices, struct member_id id, const char *name, bool counts);
void voices_settle(struct voices *voices);

/* Whom a person vouched for; at most VOICES_VOUCHED_MAX, the rest is not taken. */
void voices_set_vouched(struct voices *voices,
                        const struct voices_identity *vouched,
                        uint32_t count);

enum voices_standing
voices_standing(const struct voices *voices, struct member_id id, const char *name);
/* Whether its messages may go to the core. */
bool voices_believes(const struct voices *voices, struct member_id id, const char *name);

/* A stranger spoke: it is noted, in the place of the one of its name, or of whoever has been silent
 * for longest. Holds until the next call that changes anything. */
struct voices_stranger *voices_meet(struct voices *voices,
                                    struct member_id id,
                                    const char *name,
                                    const char *address,
                                    uint64_t now_ms);
/* NULL if it has not spoken, or was forgotten. */
struct voices_stranger *voices_find_stranger(struct voices *voices, struct member_id id);
/* Whether it is time to ask the others about this one; notes that they are asked. */
bool voices_should_ask(struct voices_stranger *stranger, uint64_t now_ms);
/* What a member that we know says of it. */
void voices_answered(struct voices *voices,
                     struct member_id from,
                     const struct voices_identity *about,
                     bool names_it);
/* How many of those whose word counts name it, and how many would have to. */
uint32_t voices_named_by(const struct voices *voices, const struct voices_stranger *stranger);
uint32_t voices_needed(const struct voices *voices);

#endif
