/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the database as the child of the guardian and as its own user. Between fork and exec only
 * calls that are safe there; whatever touches a disk (its log, its folder, the program) is done in
 * the child, so that a dead disk hangs the child and not us. */
#include "replication/guardian_internal.h"

#include "base/failpoint.h"
#include "replication/durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SPAWN_FAILED = 127
};

static void become_database(const struct guardian *guardian, pid_t parent);
static void give_up(const char *what);

int guardian_spawn(struct guardian *guardian)
{
    pid_t parent = getpid();

    FAILPOINT("guardian.spawn.before");
    pid_t pid = fork();
    if (pid < 0) {
        return errno;
    }
    if (pid == 0) {
        become_database(guardian, parent);
        _exit(SPAWN_FAILED);
    }
    guardian->child = pid;
    guardian->starts++;
    FAILPOINT("guardian.spawn.after");
    return 0;
}

static void become_database(const struct guardian *guardian, pid_t parent)
{
    sigset_t none;

    (void)close(guardian->lock_fd); /* a hanging exec must not hold the lock */
    (void)close(guardian->listen_fd);
    (void)setsid();
    guardian_cgroup_enter(guardian); /* while we still may */
    int output = -1;
    int input = open("/dev/null", O_RDONLY);
    if (durable_file_open_log(guardian->config.output, &output) != ERR_OK || input < 0 ||
        dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) {
        give_up("the log of the database");
    }
    if (input > 2) {
        (void)close(input);
    }
    if (output > 2) {
        (void)close(output);
    }
    /* Ours is lower, so that memory pressure takes the database and never its guardian. */
    int score = open("/proc/self/oom_score_adj", O_WRONLY);
    if (score >= 0) {
        ssize_t ignored = write(score, "0", 1);
        (void)ignored;
        (void)close(score);
    }
    if (guardian->change_user) {
        if (setgroups((size_t)guardian->groups_count, guardian->groups) != 0 ||
            setgid(guardian->gid) != 0 || setuid(guardian->uid) != 0) {
            give_up("changing to the user of the database");
        }
    }
    /* After the change of user: before it, it would be lost (E1d). */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        give_up("binding the database's life to the guardian's");
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)umask(077);
    if (chdir(guardian->data_dir) != 0) {
        give_up("entering the data folder");
    }
    guardian_page_hand_over(guardian);
    (void)execv(guardian->config.argv[0], guardian->config.argv);
    give_up(guardian->config.argv[0]);
}

static void give_up(const char *what)
{
    static const char PREFIX[] = "indaba guardian: cannot start the database: ";
    const char *why = strerrordesc_np(errno);

    if (write(2, PREFIX, sizeof(PREFIX) - 1) < 0 || write(2, what, strlen(what)) < 0 ||
        write(2, ": ", 2) < 0 || write(2, why, strlen(why)) < 0 || write(2, "\n", 1) < 0) {
        _exit(SPAWN_FAILED);
    }
    _exit(SPAWN_FAILED);
}
