/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_words.h. The log is a file of the database's user: it is read only if it is a plain file
 * of that user with no other name, so that nobody is shown what he may not read. */
#include "replication/postgres/pg_words.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TAIL_SIZE = 8192,
    LONG_TAIL_SIZE = 1024 * 1024, /* readers may log much between two words of a receiver */
    STATE_LEN = 5,
    LINES_BACK_MAX = 2, /* from a fatal error to the line that says what is wrong in a file */
};

#define STATE_LETTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static void read_tail(const struct pg_place *place, char *tail, size_t size);
static const char *reason_before(const char *log, const char *last, const char *fatal);
static const char *line_before(const char *text, const char *line);
static const char *after(const char *line, const char *mark);
static const char *said_by(const char *line, const char *who);
static const char *level_text(const char *text, const char *level);
static const char *without_state(const char *text);
static bool begins(const char *text, const char *with);
static const char *fatal_text(const char *line);

void pg_words_find(const char *log, char *words)
{
    const char *last = NULL;

    for (const char *line = log; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        last = fatal_text(line) != NULL ? line : last;
        line = end != NULL ? end + 1 : NULL;
    }
    words[0] = '\0';
    if (last == NULL) {
        return;
    }
    const char *fatal = fatal_text(last);
    const char *next = strchr(last, '\n');
    const char *why = next != NULL ? after(next + 1, "DETAIL:  ") : NULL;
    if (begins(fatal, "could not load") || begins(fatal, "configuration file")) {
        fatal = reason_before(log, last, fatal);
    }
    (void)snprintf(words,
                   WORK_MESSAGE_SIZE,
                   "%.*s%s%.*s",
                   (int)strcspn(fatal, "\n"),
                   fatal,
                   why != NULL ? ": " : "",
                   why != NULL ? (int)strcspn(why, "\n") : 0,
                   why != NULL ? why : "");
}

void pg_words_read(const struct pg_place *place, char *words)
{
    char tail[TAIL_SIZE + 1];

    read_tail(place, tail, TAIL_SIZE);
    pg_words_find(tail, words);
}

/* Only what the receiver itself said, in this run of the server: any client can have such words
 * logged, as its name even. Each of its lines outdates those before. */
bool pg_words_say_wal_is_lost(const char *log)
{
    bool lost = false;

    for (const char *line = log; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        const char *said = said_by(line, "walreceiver");
        const char *text = level_text(said, "FATAL:  ");
        const char *begun = level_text(said_by(line, "postmaster"), "LOG:  ");
        if (text != NULL) {
            lost = (begins(text, "could not receive data from WAL stream") ||
                    begins(text, "could not start WAL streaming")) &&
                   (after(text, "has already been removed") != NULL ||
                    after(text, "can no longer get changes from replication slot") != NULL);
        } else if (level_text(said, "LOG:  ") != NULL ||
                   (begun != NULL && begins(begun, "starting "))) {
            lost = false;
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return lost;
}

bool pg_words_wal_is_lost(const struct pg_place *place)
{
    char *tail = mem_new(LONG_TAIL_SIZE + 1);

    read_tail(place, tail, LONG_TAIL_SIZE);
    bool lost = pg_words_say_wal_is_lost(tail);
    mem_free(tail);
    return lost;
}

/* The end of the log, as a string of whole lines; empty if it cannot be had. Where it begins within
 * a line, what a client chose would stand where the server's own words do. */
static void read_tail(const struct pg_place *place, char *tail, size_t size)
{
    char path[PG_PATH_SIZE * 2];
    struct stat status;

    tail[0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/postgres.log", place->log);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    bool plain = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
                 (status.st_uid == place->user.uid || status.st_uid == geteuid());
    off_t from = plain && status.st_size > (off_t)size ? status.st_size - (off_t)size : 0;
    ssize_t len = plain ? pread(fd, tail, size, from) : 0;
    (void)close(fd);
    tail[len > 0 ? len : 0] = '\0';
    if (from > 0) {
        size_t cut = strcspn(tail, "\n");
        cut += tail[cut] == '\n' ? 1 : 0;
        memmove(tail, tail + cut, strlen(tail + cut) + 1);
    }
}

/* A file that cannot be read: what is wrong in it was said before. */
static const char *reason_before(const char *log, const char *last, const char *fatal)
{
    const char *line = last;

    for (int i = 0; i < LINES_BACK_MAX; i++) {
        line = line_before(log, line);
        const char *reason = line != NULL ? after(line, "LOG:  ") : NULL;
        if (line == NULL || reason != NULL) {
            return reason != NULL ? reason : fatal;
        }
    }
    return fatal;
}

static const char *line_before(const char *text, const char *line)
{
    if (line == text) {
        return NULL;
    }
    line--; /* its newline */
    while (line > text && line[-1] != '\n') {
        line--;
    }
    return line;
}

/* What follows the mark in this line; NULL if it is not there. */
static const char *after(const char *line, const char *mark)
{
    size_t len = strcspn(line, "\n");
    const char *found = memmem(line, len, mark, strlen(mark));

    return found != NULL ? found + strlen(mark) : NULL;
}

/* What follows its prefix, if `who` is the kind of process that logged this line: the prefix is
 * ours (pg_config_file.c), and what a client chose comes behind that. */
static const char *said_by(const char *line, const char *who)
{
    size_t len = strlen(who);
    const char *text =
        *line != '\t' ? after(line, "] ") : NULL; /* a tab: the line before goes on */

    if (text == NULL || strncmp(text, who, len) != 0 || text[len] != ' ') {
        return NULL;
    }
    return text + len + strspn(text + len, " ");
}

/* What was said at this level; NULL if nothing was. */
static const char *level_text(const char *text, const char *level)
{
    return text != NULL && begins(text, level) ? without_state(text + strlen(level)) : NULL;
}

/* A server that is told to be verbose puts a code first. */
static const char *without_state(const char *text)
{
    bool has = strspn(text, STATE_LETTERS) == STATE_LEN && begins(text + STATE_LEN, ": ");
    return has ? text + STATE_LEN + strlen(": ") : text;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Of the server itself, not of a client, whatever that says. */
static const char *fatal_text(const char *line)
{
    const char *text = after(line, "FATAL:  ");

    text = text != NULL ? text : after(line, "PANIC:  ");
    if (text == NULL || *line == '\t' || said_by(line, "client backend") != NULL) {
        return NULL;
    }
    text = without_state(text);
    return begins(text, "the database system is") ? NULL : text;
}
