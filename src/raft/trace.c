/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for people; nothing reads them back. */
#include "raft/trace.h"

#include "raft/raft_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    LINE_SIZE = 256
};

void trace_line(const struct raft *raft, const char *format, ...)
{
    if (raft->options.trace == NULL) {
        return;
    }
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    raft->options.trace(line, raft->options.trace_ctx);
}

struct trace_id trace_id(struct member_id id)
{
    struct trace_id name;
    if (member_id_is_none(id)) {
        (void)snprintf(name.text, sizeof(name.text), "nobody");
    } else if (id.hi == 0) {
        (void)snprintf(name.text, sizeof(name.text), "%" PRIu64, id.lo);
    } else {
        (void)snprintf(name.text, sizeof(name.text), "%08" PRIx64, id.hi >> 32);
    }
    return name;
}
