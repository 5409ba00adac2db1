/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process that doubts itself: one line that names the fact, a backtrace, the hook,
 * abort. Nothing here may fail, allocate, or wait for a reader on the way. */
#include "base/check.h"

#include "base/log_writer.h"

#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BACKTRACE_MAX = 64,
    MESSAGE_SIZE = 512,
    BACKTRACE_SIZE = 4096
};

typedef void (*check_hook)(void);

static _Atomic(check_hook) hook_before_abort;

static void print_failure(const char *condition, const char *file, int line, const char *function);
static void print_backtrace(void);

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
    if (len > 0) {
        log_last_words(message, (size_t)len);
    }
    print_backtrace();
}

/* By way of a pipe of our own, since it is written in many pieces, each of which could wait. */
static void print_backtrace(void)
{
    void *frames[BACKTRACE_MAX];
    char text[BACKTRACE_SIZE];
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        return;
    }
    int depth = backtrace(frames, BACKTRACE_MAX);
    backtrace_symbols_fd(frames, depth, pipe_fds[1]);
    for (ssize_t len = 0; (len = read(pipe_fds[0], text, sizeof(text))) > 0;) {
        log_last_words(text, (size_t)len);
    }
}
