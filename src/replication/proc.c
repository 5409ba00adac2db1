/* SPDX-License-Identifier: Apache-2.0 */
/* See proc.h. The program gets a session of its own, so that its group can be killed with all that
 * it started; it dies with us (PR_SET_PDEATHSIG, set after the change of user). */
#include "replication/proc.h"

#include "base/check.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_SIZE = 4096,
    SPAWN_FAILED = 127,
    GROUPS_MAX = 64,
    REAP_LOOK_MS = 5,
};

enum {
    PIPE_IN,
    PIPE_OUT,
    PIPE_ERR,
    PIPES_COUNT
};

struct proc {
    const struct proc_request *request;
    pid_t pid;
    int pipes[PIPES_COUNT][2]; /* [0] read, [1] write; -1 closed */
    size_t input_sent;
    struct buf out;
    size_t out_judged; /* of `out`: lines that are kept */
    struct buf err;
    gid_t groups[GROUPS_MAX];
    int groups_count;
};

static enum error open_pipes(struct work *work, struct proc *proc);
static void become_program(const struct proc *proc, pid_t parent);
static enum error pump(struct work *work, struct proc *proc, uint64_t until_ms);
static void feed(struct proc *proc);
static bool drain(int fd, struct buf *into, size_t max);
static void keep_lines(struct proc *proc);
static enum error reap(struct work *work, struct proc *proc, uint64_t until_ms, int *status_out);
static enum error judge(struct work *work, const struct proc *proc, int status);
static void first_error(const char *text, size_t len, char *line, size_t size);
static void close_pipe(int *fd);

enum error proc_run(struct work *work, const struct proc_request *request, struct buf *output)
{
    struct proc proc = {.request = request, .groups_count = GROUPS_MAX};
    uint64_t until_ms = clock_monotonic_ms() + request->timeout_ms;
    int status = 0;
    pid_t parent = getpid();

    if (request->user->change &&
        getgrouplist(request->user->name, request->user->gid, proc.groups, &proc.groups_count) <
            0) {
        return work_fail(work, ERR_LIMIT, "user %s is in too many groups", request->user->name);
    }
    TRY(open_pipes(work, &proc));
    proc.pid = fork();
    if (proc.pid == 0) {
        become_program(&proc, parent);
        _exit(SPAWN_FAILED);
    }
    close_pipe(&proc.pipes[PIPE_IN][0]);
    close_pipe(&proc.pipes[PIPE_OUT][1]);
    close_pipe(&proc.pipes[PIPE_ERR][1]);
    enum error error = ERR_OK;
    if (proc.pid < 0) {
        error = work_fail(work, ERR_SYSTEM, "fork for %s failed", request->argv[0]);
    } else {
        error = pump(work, &proc, until_ms);
        enum error reaped = reap(work, &proc, error == ERR_OK ? until_ms : 0, &status);
        error = error != ERR_OK ? error : reaped;
    }
    if (error == ERR_OK) {
        error = judge(work, &proc, status);
    } else if (error == ERR_TIMEOUT) {
        (void)work_fail(work,
                        error,
                        "%s was still running after %llu ms and was killed",
                        request->argv[0],
                        (unsigned long long)request->timeout_ms);
    }
    if ((error == ERR_OK || error == ERR_SYSTEM) && output != NULL) {
        buf_append(output, proc.out.data, proc.out.len);
    }
    for (int i = 0; i < PIPES_COUNT; i++) {
        close_pipe(&proc.pipes[i][0]);
        close_pipe(&proc.pipes[i][1]);
    }
    buf_deinit(&proc.out);
    buf_deinit(&proc.err);
    return error;
}

static enum error open_pipes(struct work *work, struct proc *proc)
{
    for (int i = 0; i < PIPES_COUNT; i++) {
        proc->pipes[i][0] = proc->pipes[i][1] = -1;
    }
    for (int i = 0; i < PIPES_COUNT; i++) {
        if (pipe2(proc->pipes[i], O_CLOEXEC) != 0) {
            for (int j = 0; j < PIPES_COUNT; j++) {
                close_pipe(&proc->pipes[j][0]);
                close_pipe(&proc->pipes[j][1]);
            }
            return work_fail(work, ERR_EXHAUSTED, "no file descriptors left for a program");
        }
    }
    int ours[PIPES_COUNT] = {
        proc->pipes[PIPE_IN][1], proc->pipes[PIPE_OUT][0], proc->pipes[PIPE_ERR][0]};
    for (int i = 0; i < PIPES_COUNT; i++) {
        CHECK(fcntl(ours[i], F_SETFL, O_NONBLOCK) == 0);
    }
    return ERR_OK;
}

/* In the child of a process with threads: only calls that are safe there. */
static void become_program(const struct proc *proc, pid_t parent)
{
    const struct os_user *user = proc->request->user;
    const char *dir = proc->request->working_dir;
    sigset_t none;

    (void)setsid();
    if (dup2(proc->pipes[PIPE_IN][0], 0) < 0 || dup2(proc->pipes[PIPE_OUT][1], 1) < 0 ||
        dup2(proc->pipes[PIPE_ERR][1], 2) < 0) {
        return;
    }
    if (user->change && (setgroups((size_t)proc->groups_count, proc->groups) != 0 ||
                         setgid(user->gid) != 0 || setuid(user->uid) != 0)) {
        return;
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        return;
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (chdir(dir != NULL ? dir : "/") != 0) {
        return;
    }

    union {
        const char *const *from;
        char *const *to;
    } argv = {.from = proc->request->argv}; /* execv does not write to them */

    (void)execv(argv.to[0], argv.to);
}

/* Moves bytes until the program has closed its outputs. */
static enum error pump(struct work *work, struct proc *proc, uint64_t until_ms)
{
    size_t out_max = proc->request->output_max != 0 ? proc->request->output_max : PROC_OUTPUT_MAX;
    bool out_open = true;
    bool err_open = true;

    while (out_open || err_open) {
        feed(proc);
        struct pollfd fds[] = {
            {.fd = work->cancel_fd, .events = POLLIN},
            {.fd = out_open ? proc->pipes[PIPE_OUT][0] : -1, .events = POLLIN},
            {.fd = err_open ? proc->pipes[PIPE_ERR][0] : -1, .events = POLLIN},
            {.fd = proc->pipes[PIPE_IN][1], .events = POLLOUT},
        };
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= until_ms) {
            return ERR_TIMEOUT;
        }
        uint64_t left_ms = until_ms - now_ms;
        int ready = poll(fds, ARRAY_LEN(fds), left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready > 0 && fds[0].revents != 0) {
            return ERR_CANCELLED;
        }
        if (fds[1].revents != 0) {
            out_open = drain(proc->pipes[PIPE_OUT][0], &proc->out, out_max);
            keep_lines(proc);
        }
        if (fds[2].revents != 0) {
            err_open = drain(proc->pipes[PIPE_ERR][0], &proc->err, PROC_OUTPUT_MAX);
        }
    }
    return ERR_OK;
}

static void feed(struct proc *proc)
{
    const char *input = proc->request->input;

    if (proc->pipes[PIPE_IN][1] < 0) {
        return;
    }
    size_t left = input != NULL ? strlen(input) - proc->input_sent : 0;
    if (left > 0) {
        ssize_t written = write(proc->pipes[PIPE_IN][1], input + proc->input_sent, left);
        if (written < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (written > 0) {
            proc->input_sent += (size_t)written;
            left -= (size_t)written;
        } else {
            left = 0; /* it does not want to read: its exit code will tell */
        }
    }
    if (left == 0) {
        close_pipe(&proc->pipes[PIPE_IN][1]);
    }
}

/* Once: whoever writes without a pause is not read past the deadline. False at the end of the
 * stream. */
static bool drain(int fd, struct buf *into, size_t max)
{
    char bytes[READ_SIZE];

    ssize_t got = read(fd, bytes, sizeof(bytes));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got <= 0) {
        return false;
    }
    if (into->len + (size_t)got <= max) {
        buf_append(into, bytes, (size_t)got);
    }
    return true;
}

/* What has no end yet is judged with what follows. */
static void keep_lines(struct proc *proc)
{
    const char *with = proc->request->lines_with;
    struct buf *out = &proc->out;
    size_t at = proc->out_judged;
    const uint8_t *newline = NULL;

    while (with != NULL && at < out->len &&
           (newline = memchr(out->data + at, '\n', out->len - at)) != NULL) {
        size_t len = (size_t)(newline - (out->data + at)) + 1;
        if (memmem(out->data + at, len, with, strlen(with)) != NULL) {
            memmove(out->data + proc->out_judged, out->data + at, len);
            proc->out_judged += len;
        }
        at += len;
    }
    if (at > proc->out_judged) {
        memmove(out->data + proc->out_judged, out->data + at, out->len - at);
        out->len -= at - proc->out_judged;
    }
}

/* Waits for the end; from `until_ms` on, or once cancelled, kills the whole group. */
static enum error reap(struct work *work, struct proc *proc, uint64_t until_ms, int *status_out)
{
    enum error error = ERR_OK;

    for (;;) {
        pid_t got = waitpid(proc->pid, status_out, WNOHANG);
        if (got == proc->pid || (got < 0 && errno == ECHILD)) {
            return error;
        }
        if (error == ERR_OK && clock_monotonic_ms() >= until_ms) {
            error = ERR_TIMEOUT;
        }
        if (error != ERR_OK) {
            (void)kill(-proc->pid, SIGKILL);
            (void)poll(NULL, 0, REAP_LOOK_MS);
        } else {
            enum error waited = work_wait(work, -1, 0, REAP_LOOK_MS);
            error = waited == ERR_CANCELLED ? ERR_CANCELLED : ERR_OK;
        }
    }
}

static enum error judge(struct work *work, const struct proc *proc, int status)
{
    const char *name = strrchr(proc->request->argv[0], '/');
    char said[WORK_MESSAGE_SIZE - 64] = "";

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return ERR_OK;
    }
    first_error((const char *)proc->err.data, proc->err.len, said, sizeof(said));
    return work_fail(work,
                     ERR_SYSTEM,
                     "%s ended with %s %d: %s",
                     name != NULL ? name + 1 : proc->request->argv[0],
                     WIFSIGNALED(status) ? "signal" : "exit code",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                     said[0] != '\0' ? said : "it said nothing");
}

/* The first line that calls itself an error, for what comes after it are consequences; else the
 * last one. */
static void first_error(const char *text, size_t len, char *line, size_t size)
{
    static const char *const MARKS[] = {"error:", "ERROR:", "FATAL:", "PANIC:", "LOG:"};

    for (size_t begin = 0; begin < len;) {
        const char *newline = memchr(text + begin, '\n', len - begin);
        size_t line_len = newline != NULL ? (size_t)(newline - text) - begin : len - begin;
        size_t kept = line_len < size ? line_len : size - 1;
        if (kept > 0) {
            memcpy(line, text + begin, kept);
            line[kept] = '\0';
        }
        for (size_t i = 0; i < ARRAY_LEN(MARKS); i++) {
            if (memmem(text + begin, line_len, MARKS[i], strlen(MARKS[i])) != NULL) {
                return;
            }
        }
        begin += line_len + 1;
    }
}

static void close_pipe(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}
