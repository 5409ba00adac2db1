/* SPDX-License-Identifier: Apache-2.0 */
/* Time from what should be survived, or was healed, until something is acknowledged; and ledgers
 * beside each other (judge.h). */
#include "base/mem.h"
#include "tests/support/judge.h"
#include "tests/support/judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct leaf {
    int64_t number;
    const char *hash;
    const char *member;
    int64_t first; /* entries of the log that it proves; 0: not said */
    int64_t last;
};

/* The first operation that began then or later. */
static size_t place_of(const struct history *history, uint64_t from)
{
    size_t low = 0;
    size_t high = history->ops_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history->ops[middle].invoke_ns < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first acknowledgement of a change that a client asked for after this. */
static uint64_t first_after(const struct history *history, uint64_t from)
{
    uint64_t first = HISTORY_NEVER;

    for (size_t i = place_of(history, from); i < history->ops_count; i++) {
        if (history->ops[i].invoke_ns > first) {
            break; /* they are in the order of invocation */
        }
        const struct history_op *op = &history->ops[i];
        if (op->source == NULL && op->type == HISTORY_OK && !history_is(op, "read") &&
            !history_is(op, "probe") && op->complete_ns < first) {
            first = op->complete_ns;
        }
    }
    return first;
}

/* When the next fault begins, or this one is healed: what was not recovered by then, and in time,
 * was not let. */
static uint64_t next_change(const struct history *history, uint64_t from)
{
    for (size_t i = place_of(history, from); i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->source != NULL && (history_is(op, "fault") || history_is(op, "heal")) &&
            op->invoke_ns > from) {
            return op->invoke_ns;
        }
    }
    return HISTORY_NEVER;
}

/* The longest time without an acknowledgement between the two: what goes on at first may stop
 * later, when a lease ends. */
static uint64_t longest_gap(const struct history *history, uint64_t from, uint64_t to)
{
    uint64_t longest = 0;

    for (uint64_t last = from; to != HISTORY_NEVER && last < to;) {
        uint64_t next = first_after(history, last);
        next = next < to ? next : to;
        longest = next - last > longest ? next - last : longest;
        last = next;
    }
    return longest;
}

uint32_t judge_recovery(const struct history *history, FILE *out)
{
    uint32_t demands = 0;
    uint32_t in_time = 0;
    uint32_t interrupted = 0;
    uint64_t slowest = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        int64_t within_ms = 0;
        if (op->source == NULL || !history_is(op, "recover") || op->value == NULL ||
            !edn_int(edn_get(op->value, "within-ms"), &within_ms)) {
            continue;
        }
        uint64_t limit = (uint64_t)within_ms * JUDGE_NS_PER_MS;
        uint64_t end = first_after(history, op->invoke_ns);
        uint64_t took = end == HISTORY_NEVER ? HISTORY_NEVER : end - op->invoke_ns;
        uint64_t change = next_change(history, op->invoke_ns);
        uint64_t gap = took <= limit ? longest_gap(history, op->invoke_ns, change) : 0;
        took = gap > limit ? gap : took;
        demands++;
        if (took <= limit) {
            in_time++;
            slowest = took > slowest ? took : slowest;
            slowest = gap > slowest ? gap : slowest;
        } else if (change - op->invoke_ns < limit) {
            interrupted++;
        } else {
            (void)fprintf(out, "violation: not recovered in %" PRId64 " ms, but ", within_ms);
            if (took == HISTORY_NEVER) {
                (void)fprintf(out, "never: ");
            } else {
                (void)fprintf(out, "in %" PRIu64 " ms: ", took / JUDGE_NS_PER_MS);
            }
            judge_tell(out, op);
            (void)fprintf(out, "\n");
        }
    }
    (void)fprintf(out,
                  "recovery: demands=%" PRIu32 " in_rto=%" PRIu32 " failed=%" PRIu32
                  " interrupted=%" PRIu32 " slowest_ms=%" PRIu64 "\n",
                  demands,
                  in_time,
                  demands - in_time - interrupted,
                  interrupted,
                  slowest / JUDGE_NS_PER_MS);
    return demands - in_time - interrupted;
}

/* --- ledger ----------------------------------------------------------------------------------- */

static int compare_leaves(const void *a, const void *b)
{
    const struct leaf *left = a;
    const struct leaf *right = b;

    if (left->number != right->number) {
        return left->number < right->number ? -1 : 1;
    }
    return strcmp(left->member, right->member);
}

static int compare_by_member(const void *a, const void *b)
{
    const struct leaf *left = a;
    const struct leaf *right = b;
    int order = strcmp(left->member, right->member);

    return order != 0 ? order : compare_leaves(a, b);
}

static uint32_t judge_leaves(struct leaf *leaves, size_t count, FILE *out)
{
    uint32_t violations = 0;

    qsort(leaves, count, sizeof(*leaves), compare_leaves);
    for (size_t i = 1; i < count; i++) {
        const struct leaf *one = &leaves[i - 1];
        const struct leaf *next = &leaves[i];
        if (one->number == next->number && strcmp(one->hash, next->hash) != 0) {
            violations++;
            (void)fprintf(out,
                          "violation: leaf %" PRId64 " is %s on %s, %s on %s\n",
                          one->number,
                          one->hash,
                          one->member,
                          next->hash,
                          next->member);
        }
    }
    qsort(leaves, count, sizeof(*leaves), compare_by_member);
    for (size_t i = 0; i < count; i++) {
        bool same = i > 0 && strcmp(leaves[i - 1].member, leaves[i].member) == 0;
        int64_t wanted = same ? leaves[i - 1].number + 1 : 0;
        int64_t next = same ? leaves[i - 1].last + 1 : 1;
        if (leaves[i].first != 0 && leaves[i].first != next) {
            violations++;
            (void)fprintf(out,
                          "violation: %s has no leaf for entry %" PRId64
                          " of the log: leaf %" PRId64 " begins with %" PRId64 "\n",
                          leaves[i].member,
                          next,
                          leaves[i].number,
                          leaves[i].first);
        }
        if (leaves[i].number != wanted) {
            violations++;
            (void)fprintf(out,
                          "violation: %s has leaf %" PRId64 " where %" PRId64 " should be\n",
                          leaves[i].member,
                          leaves[i].number,
                          wanted);
        }
    }
    return violations;
}

uint32_t judge_ledger(const struct history *history, FILE *out)
{
    struct leaf *leaves = mem_new_array(history->ops_count + 1, sizeof(*leaves));
    size_t count = 0;
    uint32_t verified = 0;
    uint32_t violations = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        const struct edn *member = history_extra(op, "member");
        const struct edn *hash = NULL;
        if (op->source != NULL && history_is(op, "leaf") && member != NULL &&
            member->kind == EDN_STRING && judge_pair(op->value, &leaves[count].number, &hash) &&
            hash->kind == EDN_STRING) {
            (void)edn_int(history_extra(op, "first"), &leaves[count].first);
            (void)edn_int(history_extra(op, "last"), &leaves[count].last);
            leaves[count].hash = hash->text;
            leaves[count++].member = member->text;
        }
        if (op->source != NULL && history_is(op, "verified") && op->value != NULL) {
            verified++;
            if (op->value->number == 0) {
                violations++;
                (void)fprintf(out, "violation: roots do not agree: ");
                judge_tell(out, op);
                (void)fprintf(out, "\n");
            }
        }
    }
    violations += judge_leaves(leaves, count, out);
    if (count == 0 || verified == 0) {
        (void)fprintf(out, "violation: no ledger was read, or none was verified\n");
        violations++;
    }
    (void)fprintf(out, "ledger: %zu leaves read\n", count);
    mem_free(leaves);
    return violations;
}
