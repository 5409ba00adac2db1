/* SPDX-License-Identifier: Apache-2.0 */
/* fork, exec and a pidfd to wait on. The end of a process is remembered, so that its number is
 * signalled only while it is ours. */
#include "tests/support/support_process.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LOG_MODE = 0644,
    EXIT_NOT_STARTED = 127,
    STATUS_SIGNALLED = 128,
    POLL_MAX_MS = 1000000
};

struct support_process {
    pid_t pid;
    int pidfd;
    bool ended;
    int status;
};

static void run_child(const char *const argv[], const char *log_path);
static void reap(struct support_process *process);

struct support_process *support_process_spawn(const char *const argv[], const char *log_path)
{
    struct support_process *process = mem_new(sizeof(*process));

    process->pid = fork();
    if (process->pid == 0) {
        run_child(argv, log_path);
    }
    if (process->pid < 0) {
        fail_msg("fork failed for %s", argv[0]);
    }
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) {
        fail_msg("pidfd_open failed for %s", argv[0]);
    }
    return process;
}

bool support_process_wait(struct support_process *process, uint64_t timeout_ms, int *status_out)
{
    CHECK(timeout_ms <= POLL_MAX_MS);
    if (!process->ended) {
        struct pollfd look = {.fd = process->pidfd, .events = POLLIN};
        int ready;
        do {
            ready = poll(&look, 1, (int)timeout_ms);
        } while (ready < 0 && errno == EINTR);
        if (ready <= 0) {
            return false;
        }
        reap(process);
    }
    *status_out = process->status;
    return true;
}

void support_process_signal(const struct support_process *process, int signal_number)
{
    if (!process->ended) {
        (void)kill(process->pid, signal_number);
    }
}

pid_t support_process_pid(const struct support_process *process)
{
    return process->pid;
}

void support_process_free(struct support_process *process)
{
    if (process == NULL) {
        return;
    }
    if (!process->ended) {
        (void)kill(-process->pid, SIGKILL);
        (void)kill(process->pid, SIGKILL);
        reap(process);
    }
    close(process->pidfd);
    mem_free(process);
}

static void run_child(const char *const argv[], const char *log_path)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)dup2(empty, STDIN_FILENO);
    if (log_path != NULL) {
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, LOG_MODE);
        if (log < 0) {
            _exit(EXIT_NOT_STARTED);
        }
        (void)dup2(log, STDOUT_FILENO);
        (void)dup2(log, STDERR_FILENO);
    }
    /* execvp takes char *const[] for reasons of history; it changes nothing. */
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(EXIT_NOT_STARTED);
}

static void reap(struct support_process *process)
{
    int status = 0;

    while (waitpid(process->pid, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    process->ended = true;
    process->status =
        WIFSIGNALED(status) ? STATUS_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}
