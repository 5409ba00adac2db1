/* SPDX-License-Identifier: Apache-2.0 */
/* One readable line per transition, for golden tests and debug logs. */
#ifndef INDABA_RAFT_TRACE_H
#define INDABA_RAFT_TRACE_H

#include "base/ids.h"

struct raft;

enum {
    TRACE_ID_SIZE = 24
};

/* A member's short name in traces, for the lines of one expression. */
struct trace_id {
    char text[TRACE_ID_SIZE];
};

/* Formats only if somebody listens. */
__attribute__((format(printf, 2, 3))) void
trace_line(const struct raft *raft, const char *format, ...);

/* Small numbers in decimal (tests), random ids by their first eight digits, "nobody" for none. */
struct trace_id trace_id(struct member_id id);

#endif
