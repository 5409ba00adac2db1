/* SPDX-License-Identifier: Apache-2.0 */
/* See model/marks.h. */
#include "model/marks.h"

#include "base/check.h"

static struct position higher(struct position a, struct position b);

void marks_raise(struct marks *marks, struct sync_member folder, struct position position)
{
    CHECK(marks->count <= MARKS_MAX);
    if (folder.instance.value == 0 || folder.incarnation.value == 0 || position.timeline == 0) {
        return;
    }
    uint32_t at = 0;
    while (at < marks->count && marks->items[at].instance.value != folder.instance.value) {
        at++;
    }
    if (at == MARKS_MAX) {
        return;
    }
    struct mark *mark = &marks->items[at];
    if (at < marks->count && mark->incarnation.value == folder.incarnation.value) {
        mark->position = higher(mark->position, position);
        return;
    }
    *mark = (struct mark){
        .instance = folder.instance, .incarnation = folder.incarnation, .position = position};
    marks->count += at == marks->count ? 1 : 0;
}

void marks_merge(struct marks *marks, const struct marks *more)
{
    CHECK(more->count <= MARKS_MAX);
    marks->acked = higher(marks->acked, more->acked);
    for (uint32_t i = 0; i < more->count; i++) {
        const struct mark *mark = &more->items[i];
        marks_raise(marks, (struct sync_member){mark->instance, mark->incarnation}, mark->position);
    }
}

struct position marks_of(const struct marks *marks, struct sync_member folder)
{
    for (uint32_t i = 0; i < marks->count; i++) {
        if (marks->items[i].instance.value == folder.instance.value &&
            marks->items[i].incarnation.value == folder.incarnation.value) {
            return marks->items[i].position;
        }
    }
    return (struct position){0};
}

struct position marks_highest(const struct marks *marks)
{
    struct position highest = marks->acked;

    for (uint32_t i = 0; i < marks->count; i++) {
        highest = higher(highest, marks->items[i].position);
    }
    return highest;
}

bool marks_equal(const struct marks *a, const struct marks *b)
{
    if (a->count != b->count || position_compare(a->acked, b->acked) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        struct position other =
            marks_of(b, (struct sync_member){a->items[i].instance, a->items[i].incarnation});
        if (position_compare(a->items[i].position, other) != 0) {
            return false;
        }
    }
    return true;
}

static struct position higher(struct position a, struct position b)
{
    return position_compare(a, b) >= 0 ? a : b;
}
