/* SPDX-License-Identifier: Apache-2.0 */
/* Registers with compare-and-swap, by the checker of linearizability (judge.h, lin.h). */
#include "tests/support/judge.h"
#include "tests/support/judge_internal.h"
#include "tests/support/lin.h"

#include <inttypes.h>

/* nil is absent, and 0 is a value. */
static uint64_t value_of(const struct edn *value)
{
    return value->kind == EDN_INT ? (uint64_t)value->number + 1 : LIN_ABSENT;
}

static void
add(struct lin_history *lin, const struct history_op *op, struct lin_step *steps, uint32_t count)
{
    struct lin_op own = {.process = (uint64_t)op->process, .invoke = op->invoke_ns};

    own.outcome = op->complete_ns == HISTORY_NEVER ? LIN_UNKNOWN : LIN_OK;
    own.complete = op->complete_ns;
    own.succeeded = true;
    (void)lin_add(lin, &own, steps, count);
}

static bool add_cas(struct lin_history *lin, const struct history_op *op, int64_t key)
{
    const struct edn *change = NULL;
    const struct edn *seen = history_extra(op, "seen");

    if (op->type == HISTORY_FAIL) {
        if (seen != NULL) {
            add(lin,
                op,
                &(struct lin_step){LIN_READ, LIN_ALWAYS, (uint64_t)key, value_of(seen)},
                1);
        }
        return true;
    }
    if (!judge_pair(op->asked, &key, &change) || change->items_count != 2) {
        return false;
    }
    struct lin_step steps[] = {
        {LIN_EXPECT, LIN_ALWAYS, (uint64_t)key, value_of(&change->items[0])},
        {LIN_WRITE, LIN_THEN, (uint64_t)key, value_of(&change->items[1])},
    };
    add(lin, op, steps, 2);
    return true;
}

/* False if its value has not the form. */
static bool add_op(struct lin_history *lin, const struct history_op *op)
{
    int64_t key = 0;
    const struct edn *what = NULL;

    if (!judge_pair(op->type == HISTORY_OK ? op->value : op->asked, &key, &what)) {
        return false;
    }
    if (history_is(op, "cas")) {
        return add_cas(lin, op, key);
    }
    if (op->type == HISTORY_FAIL || (history_is(op, "read") && op->type != HISTORY_OK)) {
        return true;
    }
    enum lin_step_kind kind = history_is(op, "read") ? LIN_READ : LIN_WRITE;
    add(lin, op, &(struct lin_step){kind, LIN_ALWAYS, (uint64_t)key, value_of(what)}, 1);
    return true;
}

static bool is_observed(const struct lin_history *lin, uint32_t number, struct lin_step written)
{
    for (uint32_t i = 0; i < lin->ops_count; i++) {
        const struct lin_op *op = &lin->ops[i];
        for (uint32_t k = 0; i != number && op->outcome != LIN_FAIL && k < op->steps_count; k++) {
            const struct lin_step *step = &lin->steps[op->first_step + k];
            if (step->kind != LIN_WRITE && step->key == written.key &&
                step->value == written.value) {
                return true;
            }
        }
    }
    return false;
}

/* What may have been written, and was neither read nor expected by anybody, is right or wrong
 * without regard to whether it was: taken out, or the orders of many such are too many to try. */
static void forget_unobserved(struct lin_history *lin)
{
    bool again = true;

    while (again) {
        again = false;
        for (uint32_t i = 0; i < lin->ops_count; i++) {
            struct lin_op *op = &lin->ops[i];
            const struct lin_step *last = &lin->steps[op->first_step + op->steps_count - 1];
            if (op->outcome == LIN_UNKNOWN && last->kind == LIN_WRITE &&
                !is_observed(lin, i, *last)) {
                op->outcome = LIN_FAIL;
                again = true; /* what it expected may now be observed by nobody */
            }
        }
    }
}

static uint32_t tell(const struct lin_history *lin, const struct lin_verdict *verdict, FILE *out)
{
    char text[512];

    (void)fprintf(out,
                  "register: %" PRIu64 " operations in %" PRIu64 " parts, %" PRIu64
                  " by search (%" PRIu64 " steps)\n",
                  verdict->ops,
                  verdict->parts,
                  verdict->parts_by_search,
                  verdict->search_steps);
    if (verdict->judgement == LIN_LINEARIZABLE) {
        return 0;
    }
    (void)fprintf(out,
                  "violation: %s: %s\n",
                  verdict->judgement == LIN_VIOLATED ? "not linearizable" : "undecided",
                  verdict->rule);
    for (uint32_t i = 0; i < verdict->culprits_count; i++) {
        (void)fprintf(out, "    %s\n", lin_describe(lin, verdict->culprits[i], text, sizeof(text)));
    }
    return 1;
}

uint32_t judge_register(const struct history *history, FILE *out)
{
    struct lin_history lin = {0};
    uint32_t violations = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool ours = history_is(op, "read") || history_is(op, "write") || history_is(op, "cas");
        if (ours && !add_op(&lin, op)) {
            (void)fprintf(out, "violation: not of the form [key value]: ");
            judge_tell(out, op);
            (void)fprintf(out, "\n");
            violations++;
        }
    }
    if (lin.ops_count == 0) {
        (void)fprintf(out, "violation: no register was read or written\n");
        return violations + 1;
    }
    forget_unobserved(&lin);
    struct lin_verdict verdict = lin_check(&lin, 0);
    violations += tell(&lin, &verdict, out);
    lin_deinit(&lin);
    return violations;
}
