/* SPDX-License-Identifier: Apache-2.0 */
/* What log.c (how a line looks) and log_writer.c (how it leaves) know of each other. */
#ifndef INDABA_BASE_LOG_INTERNAL_H
#define INDABA_BASE_LOG_INTERNAL_H

#include "base/log.h"

#include <stddef.h>

enum {
    /* Its newline included; PIPE_BUF, so that a pipe takes it in one piece. */
    LOG_LINE_BYTES_MAX = 4096
};

/* Time, level, event, pairs and suffix into LOG_LINE_BYTES_MAX bytes; returns the length. No
 * newline and no NUL, but room for one byte more. */
size_t log_line_make(char *line, enum log_level level, const char *event, const char *pairs);
/* Where lines go. */
int log_line_fd(void);

#endif
