/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions on lists, as the judge of them keeps them. */
#ifndef INDABA_TESTS_SUPPORT_JUDGE_APPEND_H
#define INDABA_TESTS_SUPPORT_JUDGE_APPEND_H

#include "tests/support/history.h"

struct append {
    int64_t key;
    int64_t value;
    uint32_t txn;
    uint32_t part; /* how many to this key its transaction has before it */
    bool last;     /* of this key in its transaction */
};

struct list_read {
    int64_t key;
    const struct edn *list;
    uint32_t txn;
    size_t own; /* appends to the key in the same transaction before it: the list ends with them */
};

struct appends {
    const struct history_op **txns;
    uint32_t txns_count;
    struct append *appends; /* by key and value */
    size_t appends_count;
    struct list_read *reads; /* by key and length */
    size_t reads_count;
    FILE *out;
    uint32_t violations;
};

/* Returns how many there are by now. */
uint32_t append_blame(struct appends *all, const char *what, const struct history_op *op);
/* NULL: nobody appended it. */
const struct append *append_find(const struct appends *all, int64_t key, int64_t value);
/* Once the lists agree: the cycles. */
void append_judge_cycles(struct appends *all);

#endif
