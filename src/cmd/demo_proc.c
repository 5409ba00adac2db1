/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the demo. It is the subreaper of all of them, guardians and databases too, and finds
 * them among its descendants by the region's folder in their arguments or as their working
 * directory: whatever was started by whatever was started by us, nothing is left running at the
 * end. Somebody's pager or shell in that folder is no descendant, and is left alone. */
#include "base/check.h"
#include "cmd/demo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PIDS_MAX = 1024,
    COMMAND_SIZE = 4096,
    ROUNDS_MAX = 200,
    ROUND_PAUSE_MS = 20,
    STAT_SIZE = 512,
    GENERATIONS_MAX = 32,
    WALKS_MAX = 4
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number);
static pid_t spawn(const char *log_path, const char *command, const char *config);
static size_t find_processes(const struct demo_region *region, pid_t *pids);
static bool is_descendant(pid_t pid);
static pid_t parent_of(pid_t pid);
static bool belongs_to(pid_t pid, const char *dir);
static bool is_member(pid_t pid, const struct demo_region *region);

void demo_proc_init(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    /* The terminal was closed; under nohup that is to be ignored. */
    struct sigaction hangup;
    CHECK(sigaction(SIGHUP, NULL, &hangup) == 0);
    CHECK(hangup.sa_handler == SIG_IGN || sigaction(SIGHUP, &action, NULL) == 0);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
}

bool demo_proc_start_member(struct demo *demo, struct demo_region *region)
{
    CHECK(region->member == 0);
    region->member = spawn(region->member_log, "serve", region->member_config);
    if (region->member < 0) {
        region->member = 0;
        demo->failure = "a coordinator could not be started";
    }
    return region->member != 0;
}

bool demo_proc_start_sidecar(struct demo *demo, struct demo_region *region)
{
    CHECK(region->sidecar == 0);
    region->sidecar = spawn(region->sidecar_log, "sidecar", region->sidecar_config);
    if (region->sidecar < 0) {
        region->sidecar = 0;
        demo->failure = "a sidecar could not be started";
    }
    return region->sidecar != 0;
}

void demo_proc_signal(struct demo *demo, struct demo_region *region, int number, bool member)
{
    /* Twice at least: a process may fork between the look and the signal. */
    for (int round = 0; round < ROUNDS_MAX; round++) {
        pid_t pids[PIDS_MAX];
        size_t count = find_processes(region, pids);
        size_t sent = 0;
        for (size_t i = 0; i < count; i++) {
            if (member || !is_member(pids[i], region)) {
                (void)kill(pids[i], number);
                sent++;
            }
        }
        demo_proc_reap(demo);
        if (number != SIGKILL ? round == 1 : sent == 0) {
            return;
        }
        if (round > 0) {
            demo_sleep_ms(ROUND_PAUSE_MS);
        }
    }
}

bool demo_proc_kill_postmaster(const struct demo_region *region)
{
    char path[DEMO_PATH_SIZE + 32];
    (void)snprintf(path, sizeof(path), "%s/db/pgdata/postmaster.pid", region->dir);
    FILE *file = fopen(path, "re");
    char line[32] = "";
    bool found = file != NULL && fgets(line, sizeof(line), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    long pid = found ? strtol(line, NULL, 10) : 0;
    return pid > 1 && kill((pid_t)pid, SIGKILL) == 0;
}

void demo_proc_end_all(struct demo *demo)
{
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        if (demo->regions[i].dir[0] != '\0') {
            demo_proc_signal(demo, &demo->regions[i], SIGKILL, true);
        }
    }
    demo_proc_reap(demo);
}

void demo_proc_reap(struct demo *demo)
{
    pid_t pid = 0;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < demo->regions_count; i++) {
            struct demo_region *region = &demo->regions[i];
            region->member = region->member == pid ? 0 : region->member;
            region->sidecar = region->sidecar == pid ? 0 : region->sidecar;
        }
    }
}

bool demo_proc_interrupted(void)
{
    return interrupted != 0;
}

void demo_sleep_ms(uint32_t ms)
{
    (void)poll(NULL, 0, (int)ms); /* ended early by Ctrl-C */
}

static void on_interrupt(int number)
{
    interrupted = number;
}

/* Our own binary again, in a process group of its own so that Ctrl-C is ours to handle. */
static pid_t spawn(const char *log_path, const char *command, const char *config)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    (void)setpgid(0, 0);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0) {
        _exit(127);
    }
    (void)execl("/proc/self/exe", "indaba", command, "--config", config, (const char *)NULL);
    _exit(127);
}

static size_t find_processes(const struct demo_region *region, pid_t *pids)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return 0;
    }
    const struct dirent *entry = NULL;
    while ((entry = readdir(proc)) != NULL && count < PIDS_MAX) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 1 && pid != getpid() && belongs_to((pid_t)pid, region->dir) &&
            is_descendant((pid_t)pid)) {
            pids[count++] = (pid_t)pid;
        }
    }
    (void)closedir(proc);
    return count;
}

/* A parent may die during the walk: its children become ours, so another walk finds the way. */
static bool is_descendant(pid_t pid)
{
    for (int walk = 0; walk < WALKS_MAX; walk++) {
        pid_t above = pid;
        for (int generation = 0; generation < GENERATIONS_MAX && above > 1; generation++) {
            above = parent_of(above);
            if (above == getpid()) {
                return true;
            }
        }
        if (above >= 0) {
            return false;
        }
    }
    return false;
}

/* -1 if there is no such process. */
static pid_t parent_of(pid_t pid)
{
    char path[64];
    char text[STAT_SIZE];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    ssize_t len = read(file, text, sizeof(text) - 1);
    (void)close(file);
    if (len <= 0) {
        return -1;
    }
    text[len] = '\0';
    /* PID (NAME) STATE PARENT …, and the name may hold anything. */
    const char *name_end = strrchr(text, ')');
    if (name_end == NULL || strlen(name_end) < 5) {
        return -1;
    }
    return (pid_t)strtol(name_end + 4, NULL, 10);
}

static bool belongs_to(pid_t pid, const char *dir)
{
    char path[64];
    char text[COMMAND_SIZE];
    size_t dir_len = strlen(dir);
    (void)snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
    ssize_t len = readlink(path, text, sizeof(text) - 1);
    if (len > 0) {
        text[len] = '\0';
        if (strncmp(text, dir, dir_len) == 0 && (text[dir_len] == '/' || text[dir_len] == '\0')) {
            return true;
        }
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    len = read(file, text, sizeof(text) - 1);
    (void)close(file);
    if (len <= 0) {
        return false;
    }
    text[len] = '\0';
    for (const char *word = text; word < text + len; word += strlen(word) + 1) {
        const char *found = strstr(word, dir);
        if (found != NULL && found[dir_len] == '/') {
            return true;
        }
    }
    return false;
}

static bool is_member(pid_t pid, const struct demo_region *region)
{
    return pid == region->member;
}
