/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the linearizability checker share: one set of keys whose operations concern
 * nobody else. Included by lin*.c alone. */
#ifndef INDABA_TESTS_SUPPORT_LIN_INTERNAL_H
#define INDABA_TESTS_SUPPORT_LIN_INTERNAL_H

#include "tests/support/lin.h"

struct lin_part {
    const struct lin_history *history;
    const uint32_t *ops; /* numbers, none of them LIN_FAIL or a LIN_UNKNOWN without writes */
    uint32_t ops_count;
    const uint32_t *slots; /* by step of the history: which key of the part, from 0 */
    uint32_t slots_count;
    uint64_t steps_max;
};

/* Whether zones can decide: one key, plain reads and writes, no value written twice. */
bool lin_zone_applies(const struct lin_part *part);
void lin_zone_check(const struct lin_part *part, struct lin_verdict *verdict);
void lin_search_check(const struct lin_part *part, struct lin_verdict *verdict);

/* The first violation counts. */
void lin_blame(struct lin_verdict *verdict,
               enum lin_judgement judgement,
               const char *rule,
               const uint32_t *culprits,
               uint32_t count);

/* When an operation is over: LIN_NEVER for an unknown one. */
uint64_t lin_complete_of(const struct lin_op *op);

#endif
