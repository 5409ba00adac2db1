/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process that doubts itself: one line that names the fact, a backtrace, the hook,
 * abort. Nothing here may fail or allocate on the way. */
#include "base/check.h"

#include <execinfo.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BACKTRACE_MAX = 64,
    MESSAGE_SIZE = 512
};

typedef void (*check_hook)(void);

static _Atomic(check_hook) hook_before_abort;

static void print_failure(const char *condition, const char *file, int line, const char *function);

void check_failed(const char *condition, const char *file, int line, const char *function)
{
    /* Taken out before it is called: a CHECK that fails inside the hook must not run it again. */
    check_hook hook = atomic_exchange(&hook_before_abort, NULL);

    print_failure(condition, file, line, function);
    if (hook != NULL) {
        hook();
    }
    abort();
}

void check_set_hook(void (*hook)(void))
{
    atomic_store(&hook_before_abort, hook);
}

static void print_failure(const char *condition, const char *file, int line, const char *function)
{
    char message[MESSAGE_SIZE];
    void *frames[BACKTRACE_MAX];

    int len = snprintf(message,
                       sizeof(message),
                       "error event=check.failed condition=\"%s\" file=%s line=%d function=%s\n",
                       condition,
                       file,
                       line,
                       function);
    if (len >= (int)sizeof(message)) {
        len = (int)sizeof(message) - 1;
        message[len - 1] = '\n';
    }
    if (len > 0 && write(STDERR_FILENO, message, (size_t)len) < 0) {
        return; /* nobody listens; the abort says it */
    }
    int depth = backtrace(frames, BACKTRACE_MAX);
    backtrace_symbols_fd(frames, depth, STDERR_FILENO);
}
