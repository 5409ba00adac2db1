/* SPDX-License-Identifier: Apache-2.0 */
/* Where a cgroup v2 is writable for us, the database lives in one of its own, named after the data
 * folder: cgroup.kill then ends all of it in one call, forks under way included, and a later
 * guardian finds what an earlier one left. An addition to the search through /proc, never instead
 * of it; where there is none, nothing is missed but speed. The files are the kernel's memory. */
#include "replication/guardian_internal.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIDS_SIZE = 65536,
    CGROUP_LINE_SIZE = 512,
};

static bool find_mount(char *path, size_t size);
static bool find_own(char *path, size_t size);
static int open_in(const struct guardian *guardian, const char *name, int flags);

void guardian_cgroup_open(struct guardian *guardian)
{
    char mount[CGROUP_LINE_SIZE];
    char own[CGROUP_LINE_SIZE];

    guardian->cgroup_kill_fd = -1;
    guardian->cgroup_procs_fd = -1;
    if (!find_mount(mount, sizeof(mount)) || !find_own(own, sizeof(own))) {
        return;
    }
    (void)snprintf(guardian->cgroup,
                   sizeof(guardian->cgroup),
                   "%s%s/indaba-%016" PRIx64,
                   mount,
                   strcmp(own, "/") == 0 ? "" : own,
                   hash_xxh3(guardian->data_dir, strlen(guardian->data_dir), 0));
    if (mkdir(guardian->cgroup, 0755) != 0 && errno != EEXIST) {
        return;
    }
    guardian->cgroup_kill_fd = open_in(guardian, "cgroup.kill", O_WRONLY);
    guardian->cgroup_procs_fd = open_in(guardian, "cgroup.procs", O_RDWR);
    if (guardian->cgroup_kill_fd < 0 || guardian->cgroup_procs_fd < 0) {
        guardian_cgroup_close(guardian);
    }
}

void guardian_cgroup_close(struct guardian *guardian)
{
    if (guardian->cgroup_kill_fd >= 0) {
        (void)close(guardian->cgroup_kill_fd);
    }
    if (guardian->cgroup_procs_fd >= 0) {
        (void)close(guardian->cgroup_procs_fd);
    }
    guardian->cgroup_kill_fd = -1;
    guardian->cgroup_procs_fd = -1;
    if (guardian->cgroup[0] != '\0') {
        (void)rmdir(guardian->cgroup); /* stays if somebody is still in it */
    }
}

/* Best effort: without it the database is found by its parents. */
void guardian_cgroup_enter(const struct guardian *guardian)
{
    if (guardian->cgroup_procs_fd >= 0 && write(guardian->cgroup_procs_fd, "0", 1) != 1) {
        return;
    }
}

void guardian_cgroup_kill(const struct guardian *guardian)
{
    if (guardian->cgroup_kill_fd >= 0 && write(guardian->cgroup_kill_fd, "1", 1) != 1) {
        return;
    }
}

void guardian_cgroup_members(const struct guardian *guardian, void (*found)(pid_t pid))
{
    static char PIDS[PIDS_SIZE];

    if (guardian->cgroup_procs_fd < 0) {
        return;
    }
    ssize_t len = pread(guardian->cgroup_procs_fd, PIDS, sizeof(PIDS) - 1, 0);
    if (len <= 0) {
        return;
    }
    PIDS[len] = '\0';
    for (char *at = PIDS; *at != '\0';) {
        char *end = NULL;
        long pid = strtol(at, &end, 10);
        if (end == at) {
            return;
        }
        found((pid_t)pid);
        at = end + strspn(end, "\n");
    }
}

static bool find_mount(char *path, size_t size)
{
    struct mntent entry;
    char text[CGROUP_LINE_SIZE * 4];
    bool found = false;

    FILE *mounts = setmntent("/proc/self/mounts", "re");
    if (mounts == NULL) {
        return false;
    }
    while (!found && getmntent_r(mounts, &entry, text, sizeof(text)) != NULL) {
        if (strcmp(entry.mnt_type, "cgroup2") == 0 && strlen(entry.mnt_dir) < size) {
            (void)snprintf(path, size, "%s", entry.mnt_dir);
            found = true;
        }
    }
    (void)endmntent(mounts);
    return found;
}

/* The line "0::PATH" of /proc/self/cgroup. */
static bool find_own(char *path, size_t size)
{
    char line[CGROUP_LINE_SIZE];
    bool found = false;

    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) {
        return false;
    }
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "0::/", 4) == 0 && line[len] == '\n' && len - 3 < size) {
            line[len] = '\0';
            (void)snprintf(path, size, "%s", line + 3);
            found = true;
        }
    }
    (void)fclose(file);
    return found;
}

static int open_in(const struct guardian *guardian, const char *name, int flags)
{
    char path[sizeof(guardian->cgroup) + 32];

    (void)snprintf(path, sizeof(path), "%s/%s", guardian->cgroup, name);
    return open(path, flags | O_CLOEXEC);
}
