/* SPDX-License-Identifier: Apache-2.0 */
/* What judges share. */
#ifndef INDABA_TESTS_SUPPORT_JUDGE_INTERNAL_H
#define INDABA_TESTS_SUPPORT_JUDGE_INTERNAL_H

#include "tests/support/history.h"

#define JUDGE_NS_PER_MS UINT64_C(1000000)

enum {
    JUDGE_SHOWN_MAX = 8, /* violations of a kind that are told in full */
};

/* [key something] as histories of independent keys have it; false if it is none. */
bool judge_pair(const struct edn *value, int64_t *key_out, const struct edn **what_out);

/* A time that an operation has certainly ended by, or never. */
static inline uint64_t judge_end(const struct history_op *op)
{
    return op->type == HISTORY_OK ? op->complete_ns : HISTORY_NEVER;
}

#endif
