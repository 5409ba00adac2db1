/* SPDX-License-Identifier: Apache-2.0 */
/* Who acknowledged when, and whether that was so: one primary at every instant, and the status that
 * says who it is (judge.h).
 *
 * What an instance acknowledges on one timeline is an office. Each acknowledged write took effect
 * between its invocation and its completion, so an office reaches at least from its first
 * completion to its last invocation: if the latter is later, it certainly held all that time. If
 * not, it held at one instant between the two, which must not lie within another's. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/judge.h"
#include "tests/support/judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    OFFICES_MAX = 1024,
    STATUS_OLD_MS = 4000,   /* a status may be as old as silence takes to be noticed */
    STATUS_BLIND_MS = 8000, /* … and nothing may be fine for that long without a write */
    STATUS_SOON_MS = 2000,  /* unless one comes now: probers have to connect again */
};

struct office {
    const char *instance;
    int64_t timeline;
    const struct history_op *first_done;
    const struct history_op *last_begun;
    uint32_t writes;
};

struct offices {
    struct office items[OFFICES_MAX];
    uint32_t count;
    uint32_t writes;
};

static struct office *office_of(struct offices *offices, const char *instance, int64_t timeline)
{
    for (uint32_t i = offices->count; i-- > 0;) {
        struct office *office = &offices->items[i];
        if (office->timeline == timeline && strcmp(office->instance, instance) == 0) {
            return office;
        }
    }
    if (offices->count == OFFICES_MAX) {
        return NULL;
    }
    struct office *made = &offices->items[offices->count++];
    *made = (struct office){.instance = instance, .timeline = timeline};
    return made;
}

static const char *instance_of(const struct history_op *op)
{
    const struct edn *instance = history_extra(op, "instance");

    return instance != NULL && instance->kind == EDN_STRING ? instance->text : NULL;
}

static bool is_acknowledged(const struct history_op *op)
{
    return op->type == HISTORY_OK && history_is(op, "probe") && instance_of(op) != NULL;
}

static void collect(struct offices *offices, const struct history *history)
{
    *offices = (struct offices){0};
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        int64_t timeline = 0;
        if (!is_acknowledged(op) || !edn_int(history_extra(op, "timeline"), &timeline)) {
            continue;
        }
        struct office *office = office_of(offices, instance_of(op), timeline);
        CHECK(office != NULL);
        if (office->writes++ == 0 || op->complete_ns < office->first_done->complete_ns) {
            office->first_done = op;
        }
        if (office->last_begun == NULL || op->invoke_ns > office->last_begun->invoke_ns) {
            office->last_begun = op;
        }
        offices->writes++;
    }
}

static bool overlap(const struct office *a, const struct office *b)
{
    return a->first_done->complete_ns < b->last_begun->invoke_ns &&
           b->first_done->complete_ns < a->last_begun->invoke_ns;
}

static void tell_two(const struct office *a, const struct office *b, const char *what, FILE *out)
{
    const struct history_op *shown[] = {a->first_done, a->last_begun, b->first_done, b->last_begun};

    (void)fprintf(out,
                  "violation: %s: %s (timeline %" PRId64 ") and %s (timeline %" PRId64 "):\n",
                  what,
                  a->instance,
                  a->timeline,
                  b->instance,
                  b->timeline);
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        (void)fprintf(out, "    %s: ", instance_of(shown[i]));
        judge_tell(out, shown[i]);
        (void)fprintf(out, "\n");
    }
}

uint32_t judge_primary(const struct history *history, FILE *out)
{
    struct offices *offices = mem_new(sizeof(*offices));
    uint32_t violations = 0;

    collect(offices, history);
    for (uint32_t i = 0; i < offices->count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const struct office *a = &offices->items[i];
            const struct office *b = &offices->items[k];
            if (overlap(a, b)) {
                violations++;
                tell_two(a, b, "two acknowledge at one time", out);
            } else if (a->timeline == b->timeline) {
                violations++;
                tell_two(a, b, "one timeline of two", out);
            }
        }
    }
    if (offices->writes == 0) {
        (void)fprintf(out, "violation: no probe was ever acknowledged\n");
        violations++;
    }
    (void)fprintf(out,
                  "primary: %" PRIu32 " offices, %" PRIu32 " acknowledged probes\n",
                  offices->count,
                  offices->writes);
    mem_free(offices);
    return violations;
}

/* --- status ----------------------------------------------------------------------------------- */

/* Somebody else was in office from long before it was asked until after it was answered. */
static const struct office *
other_in_office(const struct offices *offices, const char *primary, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < offices->count; i++) {
        const struct office *office = &offices->items[i];
        if (strcmp(office->instance, primary) != 0 &&
            office->first_done->complete_ns + STATUS_OLD_MS * JUDGE_NS_PER_MS < from &&
            office->last_begun->invoke_ns > to) {
            return office;
        }
    }
    return NULL;
}

/* True if nothing was acknowledged for long before `from`, nor soon after `to`. */
static bool nothing_acknowledged(const struct history *history, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (is_acknowledged(op) && op->complete_ns + STATUS_BLIND_MS * JUDGE_NS_PER_MS >= from &&
            op->complete_ns <= to + STATUS_SOON_MS * JUDGE_NS_PER_MS) {
            return false;
        }
    }
    return from > STATUS_BLIND_MS * JUDGE_NS_PER_MS;
}

uint32_t judge_status(const struct history *history, FILE *out)
{
    struct offices *offices = mem_new(sizeof(*offices));
    uint32_t violations = 0;
    uint32_t looks = 0;

    collect(offices, history);
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        int64_t asked_ns = 0;
        if (op->source == NULL || !history_is(op, "status") || op->value == NULL ||
            !edn_int(history_extra(op, "asked"), &asked_ns)) {
            continue;
        }
        looks++;
        const struct edn *primary = edn_get(op->value, "primary");
        const struct edn *fine = edn_get(op->value, "fine");
        const struct office *other = NULL;
        if (primary != NULL && primary->kind == EDN_STRING) {
            other = other_in_office(offices, primary->text, (uint64_t)asked_ns, op->invoke_ns);
        }
        bool blind = fine != NULL && fine->number != 0 &&
                     nothing_acknowledged(history, (uint64_t)asked_ns, op->invoke_ns);
        if ((other != NULL || blind) && violations++ < JUDGE_SHOWN_MAX) {
            (void)fprintf(out,
                          "violation: status says %s, while %s: ",
                          other != NULL ? primary->text : "that all is well",
                          other != NULL ? other->instance : "nothing is acknowledged");
            judge_tell(out, op);
            (void)fprintf(out, "\n");
        }
    }
    if (looks == 0) {
        (void)fprintf(out, "violation: nobody asked for the status\n");
        violations++;
    }
    (void)fprintf(
        out, "status: %" PRIu32 " answers beside %" PRIu32 " offices\n", looks, offices->count);
    mem_free(offices);
    return violations;
}
