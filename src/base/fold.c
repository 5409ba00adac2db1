/* SPDX-License-Identifier: Apache-2.0 */
/* See fold.h. */
#include "base/fold.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static struct fold_kind *find(struct fold *fold, const char *text, uint64_t now_ms);
static bool is_quiet(const struct fold_kind *kind, uint64_t now_ms);
static bool is_due(const struct fold_kind *kind, uint64_t now_ms);

void fold_add(struct fold *fold, const char *text, const char *note, uint64_t now_ms)
{
    char cut[FOLD_TEXT_SIZE];

    CHECK(text[0] != '\0' && fold->pause_max_ms >= FOLD_PAUSE_MIN_MS);
    (void)snprintf(cut, sizeof(cut), "%s", text);
    struct fold_kind *kind = find(fold, cut, now_ms);
    if (is_quiet(kind, now_ms)) {
        kind->pause_ms = 0;
        kind->due_ms = now_ms;
    }
    (void)snprintf(kind->note, sizeof(kind->note), "%s", note);
    kind->hidden++;
    kind->last_ms = now_ms;
}

bool fold_due(struct fold *fold, uint64_t now_ms, struct fold_told *told)
{
    struct fold_kind *kind = is_due(&fold->others, now_ms) ? &fold->others : NULL;
    for (uint32_t i = 0; i < FOLD_KINDS_MAX && kind == NULL; i++) {
        kind = is_due(&fold->kinds[i], now_ms) ? &fold->kinds[i] : NULL;
    }
    if (kind == NULL) {
        return false;
    }
    told->count = kind->hidden;
    memcpy(told->text, kind->text, sizeof(told->text));
    memcpy(told->note, kind->note, sizeof(told->note));
    kind->hidden = 0;
    kind->pause_ms = kind->pause_ms == 0 ? FOLD_PAUSE_MIN_MS : 2 * kind->pause_ms;
    if (kind->pause_ms > fold->pause_max_ms) {
        kind->pause_ms = fold->pause_max_ms;
    }
    kind->due_ms = now_ms + kind->pause_ms;
    return true;
}

/* The kind of that text, a free one that is now of it, or the one for all others. */
static struct fold_kind *find(struct fold *fold, const char *text, uint64_t now_ms)
{
    struct fold_kind *free_kind = NULL;
    for (uint32_t i = 0; i < FOLD_KINDS_MAX; i++) {
        struct fold_kind *kind = &fold->kinds[i];
        if (strcmp(kind->text, text) == 0) {
            return kind;
        }
        bool is_free = kind->text[0] == '\0' || (kind->hidden == 0 && is_quiet(kind, now_ms));
        if (free_kind == NULL && is_free) {
            free_kind = kind;
        }
    }
    if (free_kind == NULL) {
        (void)snprintf(fold->others.text, FOLD_TEXT_SIZE, "%s", FOLD_OTHERS);
        return &fold->others;
    }
    *free_kind = (struct fold_kind){0};
    (void)snprintf(free_kind->text, FOLD_TEXT_SIZE, "%s", text);
    return free_kind;
}

static bool is_quiet(const struct fold_kind *kind, uint64_t now_ms)
{
    return kind->hidden == 0 && now_ms >= kind->last_ms + 2 * kind->pause_ms;
}

static bool is_due(const struct fold_kind *kind, uint64_t now_ms)
{
    return kind->hidden > 0 && now_ms >= kind->due_ms;
}
