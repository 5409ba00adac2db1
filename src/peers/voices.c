/* SPDX-License-Identifier: Apache-2.0 */
/* See voices.h. */
#include "peers/voices.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static bool is(const struct voices_identity *one, struct member_id id, const char *name);
static const struct voices_stranger *find(const struct voices *voices, struct member_id id);
static bool counts(const struct voices *voices, struct member_id id);
static void keep_answers(const struct voices *voices, struct voices_stranger *stranger);
static struct voices_stranger *place_for(struct voices *voices, const char *name);

void voices_forget_known(struct voices *voices)
{
    voices->known_count = 0;
}

void voices_know(struct voices *voices, struct member_id id, const char *name, bool counts)
{
    CHECK(voices->known_count < VOICES_KNOWN_MAX);
    struct voices_identity *known = &voices->known[voices->known_count];
    known->id = id;
    (void)snprintf(known->name, sizeof(known->name), "%s", name);
    voices->counts[voices->known_count] = counts;
    voices->known_count++;
}

void voices_settle(struct voices *voices)
{
    for (uint32_t i = 0; i < voices->strangers_count; i++) {
        keep_answers(voices, &voices->strangers[i]);
    }
}

void voices_set_vouched(struct voices *voices,
                        const struct voices_identity *vouched,
                        uint32_t count)
{
    voices->vouched_count = count < VOICES_VOUCHED_MAX ? count : VOICES_VOUCHED_MAX;
    memcpy(voices->vouched, vouched, voices->vouched_count * sizeof(*vouched));
}

enum voices_standing
voices_standing(const struct voices *voices, struct member_id id, const char *name)
{
    for (uint32_t i = 0; i < voices->known_count; i++) {
        if (is(&voices->known[i], id, name)) {
            return VOICES_KNOWN;
        }
    }
    const struct voices_stranger *stranger = find(voices, id);
    if (stranger != NULL && stranger->gone) {
        return VOICES_GONE;
    }
    if (stranger == NULL || !stranger->looked_up || !is(&stranger->who, id, name)) {
        return VOICES_STRANGER;
    }
    for (uint32_t i = 0; i < voices->vouched_count; i++) {
        if (is(&voices->vouched[i], id, name)) {
            return VOICES_VOUCHED;
        }
    }
    return voices_named_by(voices, stranger) >= voices_needed(voices) ? VOICES_NAMED
                                                                      : VOICES_STRANGER;
}

bool voices_believes(const struct voices *voices, struct member_id id, const char *name)
{
    return voices_standing(voices, id, name) >= VOICES_NAMED;
}

struct voices_stranger *voices_meet(struct voices *voices,
                                    struct member_id id,
                                    const char *name,
                                    const char *address,
                                    uint64_t now_ms)
{
    struct voices_stranger *stranger = place_for(voices, name);
    if (!is(&stranger->who, id, name)) {
        /* With another id in each breath one certificate causes no more questions and lines. */
        bool same_name = strcmp(stranger->who.name, name) == 0;
        uint64_t asked_ms = same_name ? stranger->asked_ms : 0;
        uint64_t told_ms = same_name ? stranger->told_ms : 0;
        *stranger =
            (struct voices_stranger){.first_ms = now_ms, .asked_ms = asked_ms, .told_ms = told_ms};
        stranger->who.id = id;
        (void)snprintf(stranger->who.name, sizeof(stranger->who.name), "%s", name);
    }
    (void)snprintf(stranger->address, sizeof(stranger->address), "%s", address);
    stranger->heard_ms = now_ms;
    return stranger;
}

struct voices_stranger *voices_find_stranger(struct voices *voices, struct member_id id)
{
    for (uint32_t i = 0; i < voices->strangers_count; i++) {
        if (member_id_equal(voices->strangers[i].who.id, id)) {
            return &voices->strangers[i];
        }
    }
    return NULL;
}

bool voices_should_ask(struct voices_stranger *stranger, uint64_t now_ms)
{
    if (stranger->asked_ms != 0 && now_ms - stranger->asked_ms < VOICES_ASK_MS) {
        return false;
    }
    stranger->asked_ms = now_ms;
    return true;
}

void voices_answered(struct voices *voices,
                     struct member_id from,
                     const struct voices_identity *about,
                     bool names_it)
{
    struct voices_stranger *stranger = voices_find_stranger(voices, about->id);
    if (stranger == NULL || !is(&stranger->who, about->id, about->name) || !counts(voices, from)) {
        return;
    }
    for (uint32_t i = 0; i < stranger->answers_count; i++) {
        if (member_id_equal(stranger->answers[i].from, from)) {
            stranger->answers[i].names_it = names_it;
            return;
        }
    }
    CHECK(stranger->answers_count < VOICES_KNOWN_MAX);
    stranger->answers[stranger->answers_count++] =
        (struct voices_answer){.from = from, .names_it = names_it};
}

uint32_t voices_named_by(const struct voices *voices, const struct voices_stranger *stranger)
{
    uint32_t named = 0;
    for (uint32_t i = 0; i < stranger->answers_count; i++) {
        const struct voices_answer *answer = &stranger->answers[i];
        named += answer->names_it && counts(voices, answer->from);
    }
    return named;
}

/* More than half of the others; with no other there is nobody whose word would do. */
uint32_t voices_needed(const struct voices *voices)
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < voices->known_count; i++) {
        others += voices->counts[i];
    }
    return others / 2 + 1;
}

static bool is(const struct voices_identity *one, struct member_id id, const char *name)
{
    return member_id_equal(one->id, id) && strcmp(one->name, name) == 0;
}

static const struct voices_stranger *find(const struct voices *voices, struct member_id id)
{
    for (uint32_t i = 0; i < voices->strangers_count; i++) {
        if (member_id_equal(voices->strangers[i].who.id, id)) {
            return &voices->strangers[i];
        }
    }
    return NULL;
}

static bool counts(const struct voices *voices, struct member_id id)
{
    for (uint32_t i = 0; i < voices->known_count; i++) {
        if (member_id_equal(voices->known[i].id, id)) {
            return voices->counts[i];
        }
    }
    return false;
}

/* Of those who still count. */
static void keep_answers(const struct voices *voices, struct voices_stranger *stranger)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < stranger->answers_count; i++) {
        if (counts(voices, stranger->answers[i].from)) {
            stranger->answers[kept++] = stranger->answers[i];
        }
    }
    stranger->answers_count = kept;
}

static struct voices_stranger *place_for(struct voices *voices, const char *name)
{
    struct voices_stranger *silent = &voices->strangers[0];
    for (uint32_t i = 0; i < voices->strangers_count; i++) {
        struct voices_stranger *stranger = &voices->strangers[i];
        if (strcmp(stranger->who.name, name) == 0) {
            return stranger;
        }
        silent = stranger->heard_ms < silent->heard_ms ? stranger : silent;
    }
    if (voices->strangers_count < VOICES_STRANGERS_MAX) {
        silent = &voices->strangers[voices->strangers_count++];
        *silent = (struct voices_stranger){0};
    }
    return silent;
}
