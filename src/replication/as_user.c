/* SPDX-License-Identifier: Apache-2.0 */
/* See replication/as_user.h. setfsuid and the raw setgroups are of the calling thread; the C
 * library's setgroups would be of all threads. */
#include "replication/as_user.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    GROUPS_MAX = 64
};

static __thread gid_t own_groups[GROUPS_MAX];
static __thread long own_groups_count;
static __thread bool entered;

/* A refused change is told by nothing but the value that stays. */
static void become(uid_t uid, gid_t gid)
{
    (void)setfsgid(gid);
    (void)setfsuid(uid);
    CHECK((uid_t)setfsuid((uid_t)-1) == uid);
    CHECK((gid_t)setfsgid((gid_t)-1) == gid);
}

void as_user_enter(const struct os_user *user)
{
    CHECK(!entered);
    entered = true;
    if (!user->change) {
        return;
    }
    long count = syscall(SYS_getgroups, GROUPS_MAX, own_groups);
    own_groups_count = count > 0 ? count : 0; /* too many to keep: this thread does without */
    CHECK(syscall(SYS_setgroups, 0, NULL) == 0);
    become(user->uid, user->gid);
}

void as_user_leave(const struct os_user *user)
{
    int kept = errno;

    CHECK(entered);
    entered = false;
    if (!user->change) {
        return;
    }
    become(geteuid(), getegid());
    CHECK(syscall(SYS_setgroups, own_groups_count, own_groups) == 0);
    /* The kernel takes it away with each change; a CHECK that fails should leave a core. */
    (void)prctl(PR_SET_DUMPABLE, 1);
    errno = kept;
}

/* The descriptor is of the process that is looked at, whoever has its number later. */
bool as_user_signal(const struct os_user *user, pid_t pid, int number)
{
    char path[32];
    struct stat status;

    int fd = pid > 1 ? pidfd_open(pid, 0) : -1;
    if (fd < 0) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    bool signalled = stat(path, &status) == 0 && status.st_uid == user->uid &&
                     pidfd_send_signal(fd, number, NULL, 0) == 0;
    (void)close(fd);
    return signalled;
}
