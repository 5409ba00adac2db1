/* SPDX-License-Identifier: Apache-2.0 */
/* What failpoints do in a test build (src/base/failpoint.h). Settings are NAME=ACTION[@N], between
 * commas or lines, where ACTION is `crash`, `sleep:MS` or `error:eio` or `error:enospc`, once, when
 * the place is met for the N-th time (the first). They come from
 *
 *   INDABA_FAILPOINTS        read once; `list` prints all names instead, and that is all
 *   INDABA_FAILPOINTS_FILE   a file, looked at whenever a place is met, for as long as it is there
 *
 * What is not of this form, or names no place, ends the process: a test that sets nothing would
 * show nothing. Whoever acts adds "NAME PID" to FILE.met first, and who crashes removes FILE, so
 * that it happens once. */
#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SETTINGS_MAX = 16,
    NAME_SIZE = 64,
    TEXT_SIZE = 2048,
    SLEEP_MS_MAX = 60000,
    EXIT_WRONG = 97
};

enum action {
    ACTION_NONE,
    ACTION_CRASH,
    ACTION_SLEEP,
    ACTION_ERROR
};

struct setting {
    struct failpoint *point;
    enum action action;
    enum error error;
    unsigned sleep_ms;
    unsigned at; /* of its hits from now on */
};

struct version {
    ino_t inode;
    off_t size;
    struct timespec changed;
};

extern struct failpoint first_failpoint[] __asm__("__start_failpoints");
extern struct failpoint last_failpoint[] __asm__("__stop_failpoints");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct setting settings[SETTINGS_MAX];
static unsigned settings_count;
static const char *file; /* NULL: there is none */
static struct version seen;
static _Thread_local enum error failed_with;

static struct setting meet(struct failpoint *point);
static void look(void);
static void parse(char *text);
static void parse_one(char *text);
static struct failpoint *find(const char *name);
static unsigned number(const char *text, unsigned max);
static void act(const struct setting *setting);
static void tell(const struct setting *setting);
static _Noreturn void refuse(const char *text, const char *why);

__attribute__((constructor)) static void read_environment(void)
{
    /* Before main: there is one thread. */
    const char *text = getenv("INDABA_FAILPOINTS"); /* NOLINT(concurrency-mt-unsafe) */
    file = getenv("INDABA_FAILPOINTS_FILE");        /* NOLINT(concurrency-mt-unsafe) */
    if (text != NULL && strcmp(text, "list") == 0) {
        for (const struct failpoint *point = first_failpoint; point < last_failpoint; point++) {
            printf("%s%s\n", point->name, point->can_fail ? " error" : "");
        }
        exit(0); /* NOLINT(concurrency-mt-unsafe) */
    }
    if (text != NULL) {
        char copy[TEXT_SIZE];
        if (strlen(text) >= sizeof(copy)) {
            refuse(text, "too long");
        }
        memcpy(copy, text, strlen(text) + 1);
        parse(copy);
    }
    look();
}

void failpoint_hit(struct failpoint *point)
{
    const struct setting setting = meet(point);
    act(&setting);
}

bool failpoint_enter(struct failpoint *point)
{
    const struct setting setting = meet(point);
    act(&setting);
    failed_with = setting.error;
    return setting.action == ACTION_ERROR;
}

enum error failpoint_leave(struct failpoint *point, enum error error)
{
    if (error != ERR_OK) {
        return error; /* of the call, or of the place before it */
    }
    const struct setting setting = meet(point);
    act(&setting);
    return setting.action == ACTION_ERROR ? setting.error : error;
}

enum error failpoint_error(void)
{
    return failed_with;
}

/* What is to be done here and now: a setting is used up by it. */
static struct setting meet(struct failpoint *point)
{
    struct setting due = {.action = ACTION_NONE};
    (void)pthread_mutex_lock(&lock);
    look();
    for (unsigned i = 0; i < settings_count; i++) {
        if (settings[i].point == point && settings[i].action != ACTION_NONE &&
            --settings[i].at == 0) {
            due = settings[i];
            settings[i].action = ACTION_NONE;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return due;
}

/* The file, if it is another one than last time. What is in it counts from then on. */
static void look(void)
{
    struct stat about;
    if (file == NULL) {
        return;
    }
    if (stat(file, &about) != 0) {
        settings_count = seen.inode != 0 ? 0 : settings_count;
        seen = (struct version){0};
        return;
    }
    if (about.st_ino == seen.inode && about.st_size == seen.size &&
        about.st_mtim.tv_sec == seen.changed.tv_sec &&
        about.st_mtim.tv_nsec == seen.changed.tv_nsec) {
        return;
    }
    seen = (struct version){.inode = about.st_ino, .size = about.st_size, .changed = about.st_mtim};
    char text[TEXT_SIZE];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0) {
        (void)close(fd);
    }
    if (len < 0) {
        return; /* it has gone meanwhile */
    }
    if (len == sizeof(text)) {
        refuse(file, "too long");
    }
    text[len] = '\0';
    settings_count = 0;
    parse(text);
}

static void parse(char *text)
{
    char *rest = text;
    for (char *one = strsep(&rest, ",\n"); one != NULL; one = strsep(&rest, ",\n")) {
        if (*one != '\0') {
            parse_one(one);
        }
    }
}

static void parse_one(char *text)
{
    char whole[TEXT_SIZE];
    memcpy(whole, text, strlen(text) + 1);
    struct setting setting = {.at = 1};
    char *action = strchr(text, '=');
    if (action == NULL) {
        refuse(whole, "not NAME=ACTION");
    }
    *action++ = '\0';
    char *at = strchr(action, '@');
    if (at != NULL) {
        *at++ = '\0';
        setting.at = number(at, UINT_MAX);
    }
    setting.point = find(text);
    if (strcmp(action, "crash") == 0) {
        setting.action = ACTION_CRASH;
    } else if (strncmp(action, "sleep:", 6) == 0) {
        setting.action = ACTION_SLEEP;
        setting.sleep_ms = number(action + 6, SLEEP_MS_MAX);
    } else if (strcmp(action, "error:eio") == 0 || strcmp(action, "error:enospc") == 0) {
        setting.action = ACTION_ERROR;
        setting.error = error_from_errno(action[7] == 'i' ? EIO : ENOSPC);
    } else {
        refuse(whole, "no such action");
    }
    if (setting.point == NULL) {
        refuse(whole, "no such place");
    }
    if (setting.at == 0 || (setting.action == ACTION_SLEEP && setting.sleep_ms == 0)) {
        refuse(whole, "not a number from 1 on");
    }
    if (setting.action == ACTION_ERROR && !setting.point->can_fail) {
        refuse(whole, "this place cannot fail");
    }
    if (settings_count == SETTINGS_MAX) {
        refuse(whole, "too many");
    }
    settings[settings_count++] = setting;
}

static struct failpoint *find(const char *name)
{
    for (struct failpoint *point = first_failpoint; point < last_failpoint; point++) {
        if (strcmp(point->name, name) == 0) {
            return point;
        }
    }
    return NULL;
}

/* 0 if it is none. */
static unsigned number(const char *text, unsigned max)
{
    unsigned long long value = 0;
    for (const char *digit = text; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return 0;
        }
        value = value * 10 + (unsigned)(*digit - '0');
        if (value > max) {
            return 0;
        }
    }
    return (unsigned)value;
}

static void act(const struct setting *setting)
{
    if (setting->action == ACTION_NONE) {
        return;
    }
    tell(setting);
    if (setting->action == ACTION_CRASH) {
        if (file != NULL) {
            (void)unlink(file);
        }
        (void)kill(getpid(), SIGKILL);
    }
    if (setting->action == ACTION_SLEEP) {
        (void)poll(NULL, 0, (int)setting->sleep_ms);
    }
}

static void tell(const struct setting *setting)
{
    char path[PATH_MAX];
    char line[NAME_SIZE + 32];
    int len = snprintf(line, sizeof(line), "%s %d\n", setting->point->name, (int)getpid());
    if (file == NULL) {
        (void)!write(STDERR_FILENO, line, (size_t)len);
        return;
    }
    (void)snprintf(path, sizeof(path), "%s.met", file);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd >= 0) {
        (void)!write(fd, line, (size_t)len);
        (void)close(fd);
    }
}

static _Noreturn void refuse(const char *text, const char *why)
{
    (void)fprintf(stderr, "failpoints: %s: %s\n", text, why);
    _exit(EXIT_WRONG);
}
