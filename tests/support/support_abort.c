/* SPDX-License-Identifier: Apache-2.0 */
/* Forks, with stderr on a pipe and core files off. */
#include "tests/support/support_abort.h"

#include "base/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_child(void (*function)(void *ctx), void *ctx, int stderr_fd);
static void read_all(int fd, char *text, size_t size);

bool support_aborts(void (*function)(void *ctx), void *ctx, char *text, size_t size)
{
    int ends[2];
    int status = 0;

    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run_child(function, ctx, ends[1]);
    }
    close(ends[1]);
    read_all(ends[0], text, size);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void run_child(void (*function)(void *ctx), void *ctx, int stderr_fd)
{
    const struct rlimit none = {0};

    /* cmocka catches SIGABRT's relatives in some builds; the child wants the kernel's answer. */
    (void)signal(SIGABRT, SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)dup2(stderr_fd, STDERR_FILENO);
    function(ctx);
    _exit(0);
}

static void read_all(int fd, char *text, size_t size)
{
    char rest[256];
    size_t len = 0;

    for (;;) {
        bool keep = text != NULL && len + 1 < size;
        ssize_t got = keep ? read(fd, text + len, size - 1 - len) : read(fd, rest, sizeof(rest));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += keep ? (size_t)got : 0;
    }
    if (text != NULL && size > 0) {
        text[len] = '\0';
    }
}
