/* SPDX-License-Identifier: Apache-2.0 */
/* Short-lived helper programs (initdb, pg_basebackup, pg_controldata): run to the end, with a
 * deadline, cancellable, as another user if asked, their output kept. Blocks: called on a driver's
 * own thread, never on the loop. */
#ifndef INDABA_REPLICATION_PROC_H
#define INDABA_REPLICATION_PROC_H

#include "base/buf.h"
#include "replication/work.h"

struct proc_request {
    const char *const *argv; /* NULL-terminated; argv[0] an absolute path */
    const char *input;       /* given on stdin, NULL: empty */
    const struct os_user *user;
    const char *working_dir; /* NULL: / */
    uint64_t timeout_ms;
    size_t output_max;      /* 0: PROC_OUTPUT_MAX */
    const char *lines_with; /* only lines that have it are kept of stdout; NULL: all */
};

enum {
    PROC_OUTPUT_MAX = 64 * 1024 /* of stdout and stderr each; the rest is dropped */
};

/* ERR_OK only for exit code 0. On failure work->message holds the program's name, how it ended, and
 * the first error on its stderr. At a deadline or cancellation the program's process group is
 * killed and reaped before the return (ERR_TIMEOUT, ERR_CANCELLED). `output` (NULL: dropped) gets
 * stdout, of a program that failed, too (ERR_SYSTEM).
 */
MUST_CHECK enum error
proc_run(struct work *work, const struct proc_request *request, struct buf *output);

#endif
