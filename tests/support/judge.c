/* SPDX-License-Identifier: Apache-2.0 */
/* The table of judges, what they share, and the simplest of them: rates, counters, bank totals. */
#include "tests/support/judge.h"

#include "base/check.h"
#include "base/mem.h"
#include "tests/support/judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFINITE_PERCENT_MIN = 60, /* below that a history says nothing */
    ACKNOWLEDGED_MIN = 20,
    FUNCTIONS_MAX = 32,
};

const struct judge JUDGES[] = {
    {"set", "nothing acknowledged is lost, nothing is there twice or unasked", judge_set},
    {"register", "registers and compare-and-swap are linearizable", judge_register},
    {"counter", "reads of a counter are within what was added", judge_counter},
    {"bank", "totals of all accounts stay what they were", judge_bank},
    {"append", "transactions on lists have no forbidden cycle", judge_append},
    {"lock", "one holder at a time, tokens that rise", judge_lock},
    {"primary", "at most one database acknowledges at any instant", judge_primary},
    {"status", "what status says is so", judge_status},
    {"ledger", "ledgers are dense and agree", judge_ledger},
    {"recovery", "after each fault something is acknowledged in time", judge_recovery},
    {"rates", "enough outcomes are definite", judge_rates},
};
const size_t JUDGES_COUNT = ARRAY_LEN(JUDGES);

struct rate {
    const char *f;
    uint32_t outcomes[3];
};

static void tell_value(FILE *out, const struct edn *value)
{
    size_t shown = value->items_count < JUDGE_SHOWN_MAX * 2 ? value->items_count : JUDGE_SHOWN_MAX;

    switch (value->kind) {
    case EDN_NIL:
        (void)fprintf(out, "nil");
        return;
    case EDN_BOOL:
        (void)fprintf(out, value->number ? "true" : "false");
        return;
    case EDN_INT:
        (void)fprintf(out, "%" PRId64, value->number);
        return;
    case EDN_KEYWORD:
        (void)fprintf(out, ":%s", value->text);
        return;
    case EDN_STRING:
        (void)fprintf(out, "\"%s\"", value->text);
        return;
    case EDN_VECTOR:
    case EDN_SET:
    case EDN_MAP:
        break;
    }
    (void)fprintf(out, "[");
    for (size_t i = 0; i < shown; i++) {
        (void)fprintf(out, i == 0 ? "" : " ");
        tell_value(out, &value->items[i]);
    }
    if (shown < value->items_count) {
        (void)fprintf(out, " … %zu in all", value->items_count);
    }
    (void)fprintf(out, "]");
}

void judge_tell(FILE *out, const struct history_op *op)
{
    if (op->source != NULL) {
        (void)fprintf(out, "%s %s", op->source, op->f);
    } else {
        (void)fprintf(out, "process %" PRId64 " %s", op->process, op->f);
    }
    if (op->value != NULL) {
        (void)fprintf(out, " ");
        tell_value(out, op->value);
    }
    (void)fprintf(out, " [%.3f s, ", (double)op->invoke_ns / 1e9);
    if (op->complete_ns == HISTORY_NEVER) {
        (void)fprintf(out, "?]");
    } else {
        (void)fprintf(out, "%.3f s]", (double)op->complete_ns / 1e9);
    }
}

bool judge_pair(const struct edn *value, int64_t *key_out, const struct edn **what_out)
{
    if (value == NULL || value->kind != EDN_VECTOR || value->items_count != 2 ||
        !edn_int(&value->items[0], key_out)) {
        return false;
    }
    *what_out = &value->items[1];
    return true;
}

/* --- rates ------------------------------------------------------------------------------------ */

static struct rate *rate_of(struct rate *rates, uint32_t *count, const char *f)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (strcmp(rates[i].f, f) == 0) {
            return &rates[i];
        }
    }
    if (*count == FUNCTIONS_MAX) {
        return &rates[FUNCTIONS_MAX - 1];
    }
    rates[*count] = (struct rate){.f = f};
    return &rates[(*count)++];
}

uint32_t judge_rates(const struct history *history, FILE *out)
{
    struct rate rates[FUNCTIONS_MAX];
    uint32_t count = 0;
    uint32_t sums[3] = {0};

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->source == NULL && !history_is(op, "probe")) {
            rate_of(rates, &count, op->f)->outcomes[op->type]++;
            sums[op->type]++;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)fprintf(out,
                      "rates: %s ok %" PRIu32 ", fail %" PRIu32 ", info %" PRIu32 "\n",
                      rates[i].f,
                      rates[i].outcomes[HISTORY_OK],
                      rates[i].outcomes[HISTORY_FAIL],
                      rates[i].outcomes[HISTORY_INFO]);
    }
    uint32_t all = sums[0] + sums[1] + sums[2];
    if (sums[HISTORY_OK] >= ACKNOWLEDGED_MIN &&
        (sums[HISTORY_OK] + sums[HISTORY_FAIL]) * 100 >= all * DEFINITE_PERCENT_MIN) {
        return 0;
    }
    (void)fprintf(out,
                  "violation: too few outcomes are definite: ok %" PRIu32 ", fail %" PRIu32
                  ", info %" PRIu32 "\n",
                  sums[HISTORY_OK],
                  sums[HISTORY_FAIL],
                  sums[HISTORY_INFO]);
    return 1;
}

/* --- counter ---------------------------------------------------------------------------------- */

/* For each read all increments are looked at: histories of counters are short. */
uint32_t judge_counter(const struct history *history, FILE *out)
{
    uint32_t violations = 0;
    uint32_t reads = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *read = &history->ops[i];
        int64_t seen = 0;
        int64_t low = 0;
        int64_t high = 0;
        if (!history_is(read, "read") || read->type != HISTORY_OK || !edn_int(read->value, &seen)) {
            continue;
        }
        reads++;
        for (size_t k = 0; k < history->ops_count; k++) {
            const struct history_op *add = &history->ops[k];
            int64_t amount = 0;
            if (!history_is(add, "increment") || !edn_int(add->asked, &amount)) {
                continue;
            }
            low += judge_end(add) < read->invoke_ns ? amount : 0;
            high += add->type != HISTORY_FAIL && add->invoke_ns < read->complete_ns ? amount : 0;
        }
        if ((seen < low || seen > high) && violations++ < JUDGE_SHOWN_MAX) {
            (void)fprintf(out, "violation: not within [%" PRId64 ", %" PRId64 "]: ", low, high);
            judge_tell(out, read);
            (void)fprintf(out, "\n");
        }
    }
    if (reads == 0) {
        (void)fprintf(out, "violation: nobody read the counter\n");
        violations++;
    }
    (void)fprintf(out, "counter: %" PRIu32 " reads\n", reads);
    return violations;
}

/* --- bank ------------------------------------------------------------------------------------- */

uint32_t judge_bank(const struct history *history, FILE *out)
{
    int64_t total = 0;
    size_t accounts = 0;
    uint32_t reads = 0;
    uint32_t violations = 0;

    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        int64_t sum = 0;
        if (!history_is(op, "read") || op->type != HISTORY_OK || op->value == NULL ||
            op->value->kind != EDN_MAP) {
            continue;
        }
        for (size_t k = 1; k < op->value->items_count; k += 2) {
            sum += op->value->items[k].number;
        }
        if (reads++ == 0) {
            total = sum;
            accounts = op->value->items_count;
        }
        if ((sum != total || op->value->items_count != accounts) &&
            violations++ < JUDGE_SHOWN_MAX) {
            (void)fprintf(
                out, "violation: a total of %" PRId64 " instead of %" PRId64 ": ", sum, total);
            judge_tell(out, op);
            (void)fprintf(out, "\n");
        }
    }
    if (reads < 2) {
        (void)fprintf(out, "violation: the accounts were not read twice\n");
        violations++;
    }
    (void)fprintf(out, "bank: %" PRIu32 " reads, a total of %" PRId64 "\n", reads, total);
    return violations;
}
