/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and kills every process of the database. Each PostgreSQL backend is a session and group of
 * its own, so a group kill leaves busy backends alive, and they acknowledge (E1). Belonging: a
 * descendant of ours (orphans come to us, the subreaper), a member of the database's cgroup, or a
 * process of the database's user whose working directory is the data folder (the last two may be
 * left by an earlier guardian). One pass over /proc per call;
 * the caller repeats until nothing is left. */
#include "replication/guardian_internal.h"

#include "base/failpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROCESSES_MAX = 32768, /* beyond that, orphans come up as our children in the next passes */
    PID_MAX = 4194304,
    ENTRIES_SIZE = 32768,
    PROC_PATH_SIZE = 64,
    STAT_SIZE = 512,
};

struct process {
    pid_t pid;
    pid_t parent;
    char state;
};

static struct process PROCESSES[PROCESSES_MAX];
static uint32_t PROCESSES_COUNT;
static uint8_t BELONGS[PID_MAX / 8 + 1];
static _Alignas(struct dirent64) char ENTRIES[ENTRIES_SIZE];

static void read_processes(void);
static bool read_process(const char *name, struct process *process_out);
static void mark_descendants(const struct guardian *guardian);
static bool works_in_folder(const struct guardian *guardian, pid_t pid);
static void mark(pid_t pid);
static bool belongs(pid_t pid);

void guardian_census_kill(struct guardian *guardian)
{
    struct guardian_census census = {0};
    pid_t self = getpid();

    FAILPOINT("guardian.kill.before");
    guardian_cgroup_kill(guardian);
    read_processes();
    memset(BELONGS, 0, sizeof(BELONGS));
    guardian_cgroup_members(guardian, mark);
    mark_descendants(guardian);
    for (uint32_t i = 0; i < PROCESSES_COUNT; i++) {
        const struct process *process = &PROCESSES[i];
        if (process->pid == self || process->pid == guardian->writer) {
            continue;
        }
        if (process->state == 'Z' || process->state == 'X') {
            /* A zombie of somebody else's still holds its pid, and with it the lock file; of which
             * folder it was is not to be seen any more, so only our own are counted. */
            census.zombies += belongs(process->pid) ? 1 : 0;
            continue;
        }
        if (!belongs(process->pid) && !works_in_folder(guardian, process->pid)) {
            continue;
        }
        bool pending = kill(process->pid, SIGKILL) == 0;
        if (pending && process->state == 'D') {
            census.unkillable++;
        } else {
            census.alive++;
        }
    }
    guardian->census = census;
    FAILPOINT("guardian.kill.after");
}

static void read_processes(void)
{
    PROCESSES_COUNT = 0;
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    for (;;) {
        long got = syscall(SYS_getdents64, fd, ENTRIES, sizeof(ENTRIES));
        if (got <= 0) {
            break;
        }
        for (long offset = 0; offset < got && PROCESSES_COUNT < PROCESSES_MAX;) {
            const struct dirent64 *entry = (const void *)(ENTRIES + offset);
            if (read_process(entry->d_name, &PROCESSES[PROCESSES_COUNT])) {
                PROCESSES_COUNT++;
            }
            offset += entry->d_reclen;
        }
    }
    (void)close(fd);
}

/* pid (name) state ppid …: the name may hold anything, so the fields begin behind the last ')'. */
static bool read_process(const char *name, struct process *process_out)
{
    char path[PROC_PATH_SIZE];
    char text[STAT_SIZE];

    long pid = strtol(name, NULL, 10);
    if (pid <= 0 || pid >= PID_MAX) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (len <= 0) {
        return false;
    }
    text[len] = '\0';
    const char *fields = strrchr(text, ')');
    if (fields == NULL || strlen(fields) < 4) {
        return false;
    }
    process_out->pid = (pid_t)pid;
    process_out->state = fields[2];
    process_out->parent = (pid_t)strtol(fields + 4, NULL, 10);
    return true;
}

static void mark_descendants(const struct guardian *guardian)
{
    pid_t self = getpid();

    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < PROCESSES_COUNT; i++) {
            const struct process *process = &PROCESSES[i];
            if (process->pid == guardian->writer || belongs(process->pid) ||
                (process->parent != self && !belongs(process->parent))) {
                continue;
            }
            mark(process->pid);
            again = true;
        }
    }
}

/* readlink only: it asks the kernel's memory, never the disk below the folder. */
static bool works_in_folder(const struct guardian *guardian, pid_t pid)
{
    char path[PROC_PATH_SIZE];
    char target[PATH_MAX + 16];
    struct stat status;
    size_t folder_len = strlen(guardian->data_dir);

    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    if (stat(path, &status) != 0 || status.st_uid != guardian->uid) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    if (len < (ssize_t)folder_len) {
        return false;
    }
    target[len] = '\0';
    return strncmp(target, guardian->data_dir, folder_len) == 0 &&
           (target[folder_len] == '\0' || target[folder_len] == '/' ||
            strcmp(target + folder_len, " (deleted)") == 0);
}

static void mark(pid_t pid)
{
    if (pid > 0 && pid < PID_MAX) {
        BELONGS[pid / 8] |= (uint8_t)(1u << (pid % 8));
    }
}

static bool belongs(pid_t pid)
{
    return pid > 0 && pid < PID_MAX && (BELONGS[pid / 8] & (1u << (pid % 8))) != 0;
}
