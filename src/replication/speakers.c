/* SPDX-License-Identifier: Apache-2.0 */
/* See speakers.h. */
#include "replication/speakers.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static bool same(const struct speaker *a, const struct speaker *b);
static bool is_known_name(const struct speakers *speakers, const char *name);
static bool answer_names(const struct speakers_answer *answer, const struct speaker *speaker);
static uint32_t count_names(const struct speakers *speakers,
                            const struct speakers_round *round,
                            const struct speaker *speaker);
static bool answered_itself(const struct speakers_round *round, const struct speaker *speaker);
static bool may_enter(const struct speakers *speakers,
                      const struct speakers_round *round,
                      const struct speaker *speaker);
static bool may_stay(const struct speakers *speakers,
                     const struct speakers_round *round,
                     const struct speaker *speaker);
static const struct speaker *find(const struct speakers *speakers, const struct speaker *speaker);
static void put(struct speakers *speakers, const struct speaker *speaker);

void speakers_round_add(struct speakers_round *round, const struct speakers_answer *answer)
{
    if (answer->members_count == 0) {
        return; /* it has no state yet, and knows nothing */
    }
    for (uint32_t i = 0; i < round->count; i++) {
        if (strcmp(round->answers[i].from, answer->from) == 0) {
            return;
        }
    }
    if (round->count < SPEAKERS_MAX) {
        round->answers[round->count++] = *answer;
    }
}

bool speakers_know(const struct speakers *speakers, struct member_id id, const char *name)
{
    for (uint32_t i = 0; i < speakers->count; i++) {
        if (member_id_equal(speakers->items[i].id, id) &&
            strcmp(speakers->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool speakers_learn(struct speakers *speakers, const struct speakers_round *round)
{
    struct speakers next = {.mode = speakers->mode};
    for (uint32_t i = 0; i < speakers->count; i++) {
        if (may_stay(speakers, round, &speakers->items[i])) {
            put(&next, &speakers->items[i]);
        }
    }
    for (uint32_t i = 0; i < round->count; i++) {
        for (uint32_t k = 0; k < round->answers[i].members_count; k++) {
            const struct speaker *named = &round->answers[i].members[k];
            if (find(speakers, named) == NULL && may_enter(speakers, round, named)) {
                put(&next, named);
            }
        }
    }
    if (next.count == 0) {
        return false; /* nobody answered, or none of those that we know is named any more */
    }
    bool differs = next.count != speakers->count;
    for (uint32_t i = 0; i < next.count && !differs; i++) {
        differs = find(speakers, &next.items[i]) == NULL;
    }
    if (differs) {
        *speakers = next;
    }
    return differs;
}

uint32_t speakers_candidates(const struct speakers *speakers,
                             const struct speakers_round *round,
                             struct speaker *candidates_out)
{
    struct speakers candidates = {0};
    for (uint32_t i = 0; i < round->count; i++) {
        const struct speakers_answer *answer = &round->answers[i];
        for (uint32_t k = 0; k < answer->members_count && is_known_name(speakers, answer->from);
             k++) {
            const struct speaker *named = &answer->members[k];
            if (find(speakers, named) == NULL && !answered_itself(round, named)) {
                put(&candidates, named);
            }
        }
    }
    memcpy(candidates_out, candidates.items, candidates.count * sizeof(candidates.items[0]));
    return candidates.count;
}

bool speakers_follow(const struct speakers *speakers,
                     const struct speakers_round *round,
                     const char *speaker,
                     uint32_t cluster_epoch)
{
    uint32_t against = 0;
    for (uint32_t i = 0; i < round->count; i++) {
        const struct speakers_answer *answer = &round->answers[i];
        if (!is_known_name(speakers, answer->from) || strcmp(answer->from, speaker) == 0) {
            continue;
        }
        if (answer->cluster_epoch >= cluster_epoch) {
            return true;
        }
        against++;
    }
    return 2 * against <= speakers->count;
}

void speakers_keep_only(struct speakers *speakers, const char *name)
{
    struct speakers kept = {.mode = speakers->mode};
    for (uint32_t i = 0; i < speakers->count; i++) {
        if (strcmp(speakers->items[i].name, name) == 0) {
            put(&kept, &speakers->items[i]);
        }
    }
    if (kept.count > 0) {
        *speakers = kept;
    }
}

bool speakers_must_confirm(const struct speakers *speakers,
                           struct epoch obeyed,
                           uint32_t cluster_epoch,
                           const struct goal *goal)
{
    if (speakers->count == 1) {
        return false; /* there is nobody else */
    }
    uint64_t first = epoch_next((struct epoch){0}, cluster_epoch).value;
    uint64_t met = obeyed.value > first ? obeyed.value : first;
    bool leaps = goal->epoch.value > met && goal->epoch.value - met > SPEAKERS_EPOCH_LEAP;
    bool weaker = speakers->mode == SHARD_SYNC && goal->mode != SHARD_SYNC;
    return leaps || weaker;
}

bool speakers_confirm(const struct speakers *speakers,
                      const struct speakers_round *round,
                      const char *speaker,
                      const struct goal *goal)
{
    for (uint32_t i = 0; i < round->count; i++) {
        const struct speakers_answer *answer = &round->answers[i];
        if (is_known_name(speakers, answer->from) && strcmp(answer->from, speaker) != 0 &&
            answer->epoch.value >= goal->epoch.value && answer->mode == goal->mode) {
            return true;
        }
    }
    return false;
}

static bool same(const struct speaker *a, const struct speaker *b)
{
    return member_id_equal(a->id, b->id) && strcmp(a->name, b->name) == 0;
}

static bool is_known_name(const struct speakers *speakers, const char *name)
{
    for (uint32_t i = 0; i < speakers->count; i++) {
        if (strcmp(speakers->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool answer_names(const struct speakers_answer *answer, const struct speaker *speaker)
{
    for (uint32_t i = 0; i < answer->members_count; i++) {
        if (same(&answer->members[i], speaker)) {
            return true;
        }
    }
    return false;
}

/* By those that we know; by all while we know nobody, but for those that do not name themselves. */
static uint32_t count_names(const struct speakers *speakers,
                            const struct speakers_round *round,
                            const struct speaker *speaker)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < round->count; i++) {
        const struct speakers_answer *answer = &round->answers[i];
        bool counts = speakers->count > 0 && is_known_name(speakers, answer->from);
        for (uint32_t k = 0; k < answer->members_count && speakers->count == 0; k++) {
            counts = counts || strcmp(answer->members[k].name, answer->from) == 0;
        }
        count += counts && answer_names(answer, speaker);
    }
    return count;
}

static bool answered_itself(const struct speakers_round *round, const struct speaker *speaker)
{
    for (uint32_t i = 0; i < round->count; i++) {
        const struct speakers_answer *answer = &round->answers[i];
        if (strcmp(answer->from, speaker->name) == 0 && answer_names(answer, speaker)) {
            return true;
        }
    }
    return false;
}

static bool may_enter(const struct speakers *speakers,
                      const struct speakers_round *round,
                      const struct speaker *speaker)
{
    uint32_t named = count_names(speakers, round, speaker);
    if (speakers->count == 0) {
        return named >= (round->asked > 1 ? 2 : 1);
    }
    return named >= 2 || (named == 1 && answered_itself(round, speaker));
}

static bool may_stay(const struct speakers *speakers,
                     const struct speakers_round *round,
                     const struct speaker *speaker)
{
    uint32_t against = 0;
    for (uint32_t i = 0; i < round->count; i++) {
        const struct speakers_answer *answer = &round->answers[i];
        if (!is_known_name(speakers, answer->from) || strcmp(answer->from, speaker->name) == 0) {
            continue; /* who was removed goes on naming itself */
        }
        if (answer_names(answer, speaker)) {
            return true;
        }
        against++;
    }
    return 2 * against < speakers->count;
}

static const struct speaker *find(const struct speakers *speakers, const struct speaker *speaker)
{
    for (uint32_t i = 0; i < speakers->count; i++) {
        if (same(&speakers->items[i], speaker)) {
            return &speakers->items[i];
        }
    }
    return NULL;
}

/* Once; what does not fit is left out. */
static void put(struct speakers *speakers, const struct speaker *speaker)
{
    if (speakers->count < SPEAKERS_MAX && find(speakers, speaker) == NULL) {
        speakers->items[speakers->count++] = *speaker;
    }
}
