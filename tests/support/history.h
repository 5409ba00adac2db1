/* SPDX-License-Identifier: Apache-2.0 */
/* A history in Jepsen's operation form, one EDN map a line:
 *
 *   {:index 4, :time 9500000, :process 6, :type :invoke, :f :txn, :value [[:append 5 12]]}
 *   {:index 5, :time 9900000, :process 6, :type :ok, :f :txn, :value [[:append 5 12]]}
 *
 * :time is in ns since the start, of an invocation before it was sent, of a completion after it was
 * received. A process has one operation under way; after :info it is used no more. :ok happened,
 * :fail did not, :info or no completion: nobody knows. What is no client's (nemeses, observers) has
 * a keyword as its process and comes alone, as :info. */
#ifndef INDABA_TESTS_SUPPORT_HISTORY_H
#define INDABA_TESTS_SUPPORT_HISTORY_H

#include "tests/support/edn.h"

#include <stdio.h>

#define HISTORY_NEVER UINT64_MAX

enum history_type {
    HISTORY_OK,
    HISTORY_FAIL,
    HISTORY_INFO,
};

/* An operation, its invocation and its completion in one. */
struct history_op {
    int64_t process;    /* -1: no client's */
    const char *source; /* the keyword of who is no client, else NULL */
    const char *f;
    enum history_type type;
    uint64_t invoke_ns;
    uint64_t complete_ns;         /* HISTORY_NEVER: no completion is known */
    const struct edn *asked;      /* :value of the invocation, NULL if it has none */
    const struct edn *value;      /* … of the completion, or of the invocation if there is none */
    const struct edn *completion; /* the map with all its keys */
};

struct history {
    struct edn *lines;
    size_t lines_count;
    struct history_op *ops; /* in the order of invocation */
    size_t ops_count;
    char error[160];
};

/* False, and `error` says why and in which line, if it is no history. In either case history_deinit
 * follows. */
bool history_read(FILE *file, struct history *history_out);
bool history_parse(const char *text, struct history *history_out);
void history_deinit(struct history *history);

bool history_is(const struct history_op *op, const char *f);
/* A key of the completion, beyond the usual ones. */
const struct edn *history_extra(const struct history_op *op, const char *keyword);

#endif
