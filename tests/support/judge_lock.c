/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: exclusion while a holder is certain to hold, and tokens that fence (judge.h). */
#include "base/mem.h"
#include "tests/support/judge.h"
#include "tests/support/judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct hold {
    int64_t lock;
    int64_t token;
    uint64_t from_ns; /* certain: from the answer … */
    uint64_t to_ns;   /* … until the release was sent */
    const struct history_op *op;
};

static bool numbers_of(const struct history_op *op, int64_t *lock, int64_t *token)
{
    return op->value != NULL && edn_int(edn_get(op->value, "lock"), lock) &&
           edn_int(edn_get(op->value, "token"), token);
}

static int compare_holds(const void *a, const void *b)
{
    const struct hold *left = a;
    const struct hold *right = b;

    if (left->lock != right->lock) {
        return left->lock < right->lock ? -1 : 1;
    }
    return left->from_ns < right->from_ns ? -1 : left->from_ns > right->from_ns;
}

/* A holder that never sent a release may have lost it to whoever clears up: it is certain to hold
 * at the moment of the answer alone. */
static size_t collect(const struct history *history, struct hold *holds)
{
    size_t count = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        int64_t lock = 0;
        int64_t token = 0;
        if (history_is(op, "acquire") && op->type == HISTORY_OK && numbers_of(op, &lock, &token)) {
            holds[count++] = (struct hold){.lock = lock,
                                           .token = token,
                                           .from_ns = op->complete_ns,
                                           .to_ns = op->complete_ns,
                                           .op = op};
        }
        if (!history_is(op, "release") || op->asked == NULL ||
            !edn_int(edn_get(op->asked, "lock"), &lock) ||
            !edn_int(edn_get(op->asked, "token"), &token)) {
            continue;
        }
        for (size_t k = count; k-- > 0;) {
            if (holds[k].lock == lock && holds[k].token == token) {
                holds[k].to_ns = op->invoke_ns;
                break;
            }
        }
    }
    return count;
}

static uint32_t
blame(FILE *out, const char *what, const struct history_op *a, const struct history_op *b)
{
    (void)fprintf(out, "violation: %s: ", what);
    judge_tell(out, a);
    (void)fprintf(out, " and ");
    judge_tell(out, b);
    (void)fprintf(out, "\n");
    return 1;
}

static uint32_t judge_exclusion(const struct hold *holds, size_t count, FILE *out)
{
    uint32_t violations = 0;
    const struct hold *longest = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct hold *own = &holds[i];
        if (longest != NULL && longest->lock == own->lock) {
            if (own->from_ns < longest->to_ns) {
                violations += blame(out, "two hold one lock", longest->op, own->op);
            }
            if (own->token == longest->token) {
                violations += blame(out, "one token for two", longest->op, own->op);
            }
        }
        if (longest == NULL || longest->lock != own->lock || own->to_ns > longest->to_ns) {
            longest = own;
        }
    }
    return violations;
}

/* In real time: what was over before another began has no higher token (of acquisitions: a lower
 * one). */
static uint32_t judge_tokens(const struct history *history, const char *f, bool strictly, FILE *out)
{
    uint32_t violations = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *late = &history->ops[i];
        int64_t lock = 0;
        int64_t token = 0;
        if (!history_is(late, f) || late->type != HISTORY_OK || !numbers_of(late, &lock, &token)) {
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            const struct history_op *early = &history->ops[k];
            int64_t other = 0;
            int64_t held = 0;
            if (history_is(early, f) && early->type == HISTORY_OK &&
                early->complete_ns < late->invoke_ns && numbers_of(early, &other, &held) &&
                other == lock && (held > token || (strictly && held == token))) {
                violations += blame(out, "a token that does not rise", early, late);
                break;
            }
        }
    }
    return violations;
}

uint32_t judge_lock(const struct history *history, FILE *out)
{
    struct hold *holds = mem_new_array(history->ops_count + 1, sizeof(*holds));
    size_t count = collect(history, holds);

    qsort(holds, count, sizeof(*holds), compare_holds);
    uint32_t violations = judge_exclusion(holds, count, out);
    violations += judge_tokens(history, "acquire", true, out);
    violations += judge_tokens(history, "write", false, out);
    if (count < 2) {
        (void)fprintf(out, "violation: no lock was taken twice\n");
        violations++;
    }
    (void)fprintf(out, "lock: %zu acquisitions\n", count);
    mem_free(holds);
    return violations;
}
