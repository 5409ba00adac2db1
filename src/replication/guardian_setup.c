/* SPDX-License-Identifier: Apache-2.0 */
/* Everything the guardian needs from the disk, the user database and the kernel is taken here,
 * once: afterwards it touches neither. What is best effort (locked memory, real-time scheduling,
 * the OOM score) is tried and not missed. */
#include "replication/guardian_internal.h"

#include "base/check.h"
#include "base/plain_file.h"
#include "replication/work.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what, const char *where, const char *advice);
static int resolve_paths(struct guardian *guardian);
static int find_user(struct guardian *guardian);
static int take_lock(struct guardian *guardian);
static int listen_for_sidecars(struct guardian *guardian);
static int make_descriptors(struct guardian *guardian);
static void harden(void);

int guardian_setup(struct guardian *guardian, const struct guardian_config *config)
{
    *guardian = (struct guardian){.config = *config,
                                  .signal_fd = -1,
                                  .timer_fd = -1,
                                  .listen_fd = -1,
                                  .lock_fd = -1,
                                  .page_fd = -1};
    for (int i = 0; i < GUARD_CLIENTS_MAX; i++) {
        guardian->clients[i].fd = -1;
    }
    for (int i = 0; i < GUARD_PENDING_MAX; i++) {
        guardian->pending[i].client = -1;
    }
    int (*const STEPS[])(struct guardian *) = {resolve_paths,
                                               find_user,
                                               take_lock,
                                               guardian_store_load,
                                               make_descriptors,
                                               listen_for_sidecars};
    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++) {
        int code = STEPS[i](guardian);
        if (code != GUARDIAN_EXIT_OK) {
            return code;
        }
    }
    guardian_cgroup_open(guardian);
    guardian_page_open(guardian);
    harden();
    return GUARDIAN_EXIT_OK;
}

static int fail(const char *what, const char *where, const char *advice)
{
    (void)fprintf(
        stderr, "indaba guardian: %s %s: %s. %s\n", what, where, strerrordesc_np(errno), advice);
    return GUARDIAN_EXIT_SETUP;
}

/* The data folder may not be there yet, its parent must. The kernel shows working directories
 * resolved, so we compare with the resolved path. */
static int resolve_paths(struct guardian *guardian)
{
    const struct guardian_config *config = &guardian->config;
    char parent[PATH_MAX];
    char resolved[PATH_MAX];

    const char *slash = strrchr(config->data_dir, '/');
    if (config->data_dir[0] != '/' || slash == config->data_dir ||
        strlen(config->data_dir) >= sizeof(parent)) {
        errno = EINVAL;
        return fail("data folder", config->data_dir, "Give an absolute path below a folder.");
    }
    memcpy(parent, config->data_dir, (size_t)(slash - config->data_dir));
    parent[slash - config->data_dir] = '\0';
    if (realpath(config->data_dir, resolved) == NULL) {
        if (realpath(parent, resolved) == NULL) {
            return fail("folder", parent, "Make it first.");
        }
        size_t len = strlen(resolved);
        if (snprintf(resolved + len, sizeof(resolved) - len, "%s", slash) >=
            (int)(sizeof(resolved) - len)) {
            errno = ENAMETOOLONG;
            return fail("data folder", config->data_dir, "Use a shorter path.");
        }
    }
    memcpy(guardian->data_dir, resolved, sizeof(resolved));
    if (snprintf(guardian->state_path,
                 sizeof(guardian->state_path),
                 "%s/" GUARD_STATE_NAME,
                 config->state_dir) >= (int)sizeof(guardian->state_path)) {
        errno = ENAMETOOLONG;
        return fail("state folder", config->state_dir, "Use a shorter path.");
    }
    return GUARDIAN_EXIT_OK;
}

static int find_user(struct guardian *guardian)
{
    struct os_user user;

    if (os_user_find(guardian->config.user, &user) != ERR_OK) {
        errno = EPERM;
        return fail("user", guardian->config.user, "It must exist, and we must be root to use it.");
    }
    guardian->change_user = user.change;
    guardian->uid = user.uid;
    guardian->gid = user.gid;
    guardian->groups_count = GUARDIAN_GROUPS_MAX;
    if (user.change &&
        getgrouplist(user.name, user.gid, guardian->groups, &guardian->groups_count) < 0) {
        errno = E2BIG;
        return fail("groups of user", user.name, "At most 64 are supported.");
    }
    return GUARDIAN_EXIT_OK;
}

static int take_lock(struct guardian *guardian)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/" GUARD_LOCK_NAME, guardian->config.run_dir);
    if (plain_file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &guardian->lock_fd) != ERR_OK) {
        return fail("lock", path, "The run folder must exist and be writable for us.");
    }
    if (flock(guardian->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)fail("lock", path, "Another guardian has this run folder.");
        return GUARDIAN_EXIT_RUNNING;
    }
    return GUARDIAN_EXIT_OK;
}

static int make_descriptors(struct guardian *guardian)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
        return fail("signals", "", "");
    }
    guardian->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    guardian->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (guardian->signal_fd < 0 || guardian->timer_fd < 0) {
        return fail("signalfd or timerfd", "", "The kernel must offer both.");
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return fail("subreaper", "", "The kernel must offer PR_SET_CHILD_SUBREAPER.");
    }
    return GUARDIAN_EXIT_OK;
}

static int listen_for_sidecars(struct guardian *guardian)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    int len = snprintf(address.sun_path,
                       sizeof(address.sun_path),
                       "%s/" GUARD_SOCKET_NAME,
                       guardian->config.run_dir);
    if (len < 0 || len >= (int)sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return fail("run folder", guardian->config.run_dir, "At most 90 bytes fit a socket path.");
    }
    (void)unlink(address.sun_path); /* of a dead guardian: we hold the lock */
    guardian->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (guardian->listen_fd < 0 ||
        bind(guardian->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(guardian->listen_fd, GUARD_CLIENTS_MAX) != 0) {
        return fail("socket", address.sun_path, "The run folder must be writable for us.");
    }
    return GUARDIAN_EXIT_OK;
}

static void harden(void)
{
    struct sched_param first = {.sched_priority = 1};

    (void)mlockall(MCL_CURRENT);
    (void)sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &first);
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        ssize_t ignored = write(score, "-1000", 5);
        (void)ignored;
        (void)close(score);
    }
    CHECK(chdir("/") == 0);
}
