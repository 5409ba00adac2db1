/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian's loop, its deadline, and the ways to end a database. Log lines are made after a
 * kill, never before or during it, and a thread writes them: the log may lie on the disk that
 * hangs. */
#include "replication/guardian_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOG_BYTES = 64 * 1024,
    POLL_CLIENTS = 3, /* signals, timer, listener come first */
    KILL_POLL_MS = 1,
    KILL_POLL_LATER_MS = 50,
    KILL_PASSES_FAST = 200,
    KILL_STUCK_MS = 1000,
};

#define NS_PER_MS UINT64_C(1000000)

static struct guardian GUARDIAN;

static void turn(struct guardian *guardian);
static void take_signals(struct guardian *guardian);
static void reap(struct guardian *guardian, uint64_t now_ns);
static void database_ended(struct guardian *guardian);
static void check_deadline(struct guardian *guardian, uint64_t now_ns);
static void advance_kill(struct guardian *guardian, uint64_t now_ns);
static void arm_timer(const struct guardian *guardian);
static int poll_timeout(const struct guardian *guardian);
static bool may_leave(const struct guardian *guardian);

int guardian_run(const struct guardian_config *config)
{
    struct guardian *guardian = &GUARDIAN;

    log_writer_start(LOG_BYTES); /* before memory is locked and priority raised */
    int code = guardian_setup(guardian, config);
    if (code != GUARDIAN_EXIT_OK) {
        return code;
    }
    log_event(LOG_INFO,
              "guardian.started",
              "data=%s epoch=%" PRIu64 " fenced_epoch=%" PRIu64,
              log_quote(guardian->data_dir),
              guardian->epoch,
              guardian->fenced_epoch);
    /* Whatever runs there was left by a guardian that died: nobody watched it since. */
    guardian->kill = KILL_KILLING;
    while (!may_leave(guardian)) {
        turn(guardian);
    }
    guardian_serve_flush(guardian);
    guardian_cgroup_close(guardian);
    log_event(LOG_INFO, "guardian.left", "epoch=%" PRIu64, guardian->epoch);
    return GUARDIAN_EXIT_OK;
}

void guardian_fence(struct guardian *guardian, uint64_t epoch, const char *why)
{
    if (epoch > guardian->fenced_epoch) {
        guardian->fenced_epoch = epoch;
    }
    if (epoch > guardian->epoch) {
        guardian->epoch = epoch;
        guardian->deadline_ns = 0;
    }
    guardian->kill = KILL_KILLING;
    guardian->kill_passes = 0;
    guardian->kill_begun_ns = clock_boottime_ns();
    guardian_page_update(guardian);
    advance_kill(guardian, guardian->kill_begun_ns);
    log_event(LOG_WARN,
              "guardian.fence",
              "epoch=%" PRIu64 " why=%s left=%" PRIu32,
              epoch,
              log_quote(why),
              guardian->census.alive);
}

void guardian_stop(struct guardian *guardian, uint64_t bound_ms)
{
    uint64_t until_ns = clock_boottime_ns() + bound_ms * NS_PER_MS;

    if (guardian->child == 0 || guardian->kill == KILL_KILLING) {
        return;
    }
    (void)kill(guardian->child, guardian->config.stop_signal);
    if (guardian->writable) {
        /* Drained: its end is a fence, and so is the deadline, the lease's or this one. */
        guardian->deadline_ns = until_ns < guardian->deadline_ns ? until_ns : guardian->deadline_ns;
        return;
    }
    guardian->kill = KILL_STOPPING;
    guardian->stop_deadline_ns = until_ns;
}

void guardian_leave(struct guardian *guardian)
{
    guardian->leaving = true;
    if (guardian->writable) {
        guardian_fence(guardian, guardian->epoch, "the guardian was told to leave");
    } else {
        guardian_stop(guardian, GUARDIAN_STOP_MS);
    }
}

bool guardian_is_still(const struct guardian *guardian)
{
    return guardian->child == 0 && guardian->kill == KILL_IDLE;
}

bool guardian_is_stuck(const struct guardian *guardian)
{
    return guardian->dead_ns != 0 &&
           clock_boottime_ns() - guardian->dead_ns >= KILL_STUCK_MS * NS_PER_MS;
}

static void turn(struct guardian *guardian)
{
    struct pollfd fds[POLL_CLIENTS + GUARD_CLIENTS_MAX] = {
        {.fd = guardian->signal_fd, .events = POLLIN},
        {.fd = guardian->timer_fd, .events = POLLIN},
        {.fd = guardian->listen_fd, .events = POLLIN},
    };
    for (int i = 0; i < GUARD_CLIENTS_MAX; i++) {
        fds[POLL_CLIENTS + i] = (struct pollfd){.fd = guardian->clients[i].fd, .events = POLLIN};
    }
    arm_timer(guardian);
    int ready = poll(fds, ARRAY_LEN(fds), poll_timeout(guardian));
    CHECK(ready >= 0 || errno == EINTR);

    /* The deadline before everything else: a flood of requests must not delay it. */
    uint64_t now_ns = clock_boottime_ns();
    check_deadline(guardian, now_ns);
    take_signals(guardian);
    reap(guardian, now_ns);
    advance_kill(guardian, now_ns);
    if (ready > 0 && (fds[2].revents & POLLIN) != 0) {
        guardian_serve_accept(guardian);
    }
    for (int i = 0; ready > 0 && i < GUARD_CLIENTS_MAX; i++) {
        if (fds[POLL_CLIENTS + i].fd >= 0 && fds[POLL_CLIENTS + i].revents != 0) {
            guardian_serve_read(guardian, i);
        }
    }
    guardian_page_update(guardian);
    guardian_store_update(guardian, now_ns);
    guardian_serve_flush(guardian);
}

static void take_signals(struct guardian *guardian)
{
    struct signalfd_siginfo info;

    while (read(guardian->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD && !guardian->leaving) {
            guardian_leave(guardian);
        }
    }
}

/* Every dead child, also those that we inherited as subreaper. */
static void reap(struct guardian *guardian, uint64_t now_ns)
{
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) {
            return;
        }
        if (pid == guardian->writer) {
            guardian_store_reaped(guardian, status, now_ns);
        } else if (pid == guardian->child) {
            guardian->child = 0;
            guardian->last_exit = status;
            database_ended(guardian);
        }
    }
}

/* The first process is gone; others of the database may still run, and even acknowledge. */
static void database_ended(struct guardian *guardian)
{
    if (guardian->kill == KILL_KILLING) {
        return;
    }
    if (guardian->writable) {
        guardian_fence(guardian, guardian->epoch, "the database ended while it was writable");
        return;
    }
    guardian->kill = KILL_KILLING;
    guardian->kill_passes = 0;
    guardian->kill_begun_ns = clock_boottime_ns();
}

static void check_deadline(struct guardian *guardian, uint64_t now_ns)
{
    if (guardian->writable && guardian->kill != KILL_KILLING && now_ns >= guardian->deadline_ns) {
        guardian_fence(guardian, guardian->epoch, "the lease passed its deadline");
    }
}

static void advance_kill(struct guardian *guardian, uint64_t now_ns)
{
    if (guardian->kill == KILL_STOPPING && now_ns >= guardian->stop_deadline_ns) {
        guardian->kill = KILL_KILLING;
        guardian->kill_passes = 0;
        guardian->kill_begun_ns = now_ns;
    }
    if (guardian->kill != KILL_KILLING) {
        return;
    }
    guardian_census_kill(guardian);
    guardian->kill_passes++;
    uint32_t left = guardian->census.unkillable + guardian->census.zombies;
    if (guardian->census.alive == 0) {
        /* What is left cannot run user code again: nothing can be acknowledged. */
        guardian->writable = false;
    }
    /* On a busy machine the last to die are for a moment zombies that nobody could reap yet. */
    if (guardian->census.alive > 0 || left == 0) {
        guardian->dead_ns = 0;
    } else if (guardian->dead_ns == 0) {
        guardian->dead_ns = now_ns;
    }
    if (guardian->census.alive + left > 0 || guardian->child != 0) {
        return;
    }
    guardian->kill = KILL_IDLE;
    if (guardian->kill_begun_ns != 0) {
        log_event(LOG_INFO,
                  "guardian.nothing_left",
                  "epoch=%" PRIu64 " fenced_epoch=%" PRIu64 " took_us=%" PRIu64 " passes=%" PRIu64,
                  guardian->epoch,
                  guardian->fenced_epoch,
                  (clock_boottime_ns() - guardian->kill_begun_ns) / 1000,
                  guardian->kill_passes);
    }
}

static void arm_timer(const struct guardian *guardian)
{
    struct itimerspec when = {0};
    uint64_t at_ns = 0;

    if (guardian->writable && guardian->kill != KILL_KILLING) {
        at_ns = guardian->deadline_ns > 0 ? guardian->deadline_ns : 1;
    } else if (guardian->kill == KILL_STOPPING) {
        at_ns = guardian->stop_deadline_ns;
    }
    when.it_value.tv_sec = (time_t)(at_ns / UINT64_C(1000000000));
    when.it_value.tv_nsec = (long)(at_ns % UINT64_C(1000000000));
    CHECK(timerfd_settime(guardian->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

static int poll_timeout(const struct guardian *guardian)
{
    if (guardian->kill == KILL_KILLING) {
        bool fast = guardian->kill_passes < KILL_PASSES_FAST && guardian->census.alive > 0;
        return fast ? KILL_POLL_MS : KILL_POLL_LATER_MS;
    }
    if (guardian->writer == 0 && (guardian->durable_epoch != guardian->epoch ||
                                  guardian->durable_fenced_epoch != guardian->fenced_epoch)) {
        return KILL_POLL_LATER_MS;
    }
    return -1;
}

static bool may_leave(const struct guardian *guardian)
{
    bool stored =
        guardian->durable_fenced_epoch == guardian->fenced_epoch || guardian->writer_errno != 0;

    return guardian->leaving && guardian_is_still(guardian) && stored && guardian->writer == 0;
}
