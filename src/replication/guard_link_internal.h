/* SPDX-License-Identifier: Apache-2.0 */
/* What guard_link.c (connection, requests, answers) and guard_link_spawn.c (starting a guardian)
 * share. Nobody else includes this. */
#ifndef INDABA_REPLICATION_GUARD_LINK_INTERNAL_H
#define INDABA_REPLICATION_GUARD_LINK_INTERNAL_H

#include "replication/guard_link.h"

#include <sys/types.h>
#include <sys/un.h>
#include <uv.h>

enum {
    LISTENERS_MAX = 4,
    FIXED_ARGUMENTS = 16,
};

struct waiting {
    uint64_t sequence; /* 0 free */
    guard_done *done;
    void *ctx;
};

struct listener {
    void (*on_change)(void *ctx);
    void *ctx;
};

struct guard_link {
    struct uv_loop_s *loop;
    uv_timer_t retry;
    uv_poll_t *poll; /* NULL while not connected; freed in its close callback */
    int fd;
    uv_process_t *process; /* of the guardian we spawned, until its exit; NULL: none of ours */
    char *strings[FIXED_ARGUMENTS + GUARD_ARGUMENTS_MAX]; /* owned; argv of the guardian */
    char *log_file;
    struct sockaddr_un address;
    struct guard_status status;
    struct waiting waiting[GUARD_PENDING_MAX];
    struct listener listeners[LISTENERS_MAX];
    uint32_t listeners_count;
    uint64_t sequence_next;
    uint32_t tries;
    pid_t pid;       /* of the guardian, while connected */
    uint32_t silent; /* seconds without a word of it; any answer ends them */
    bool leaving;    /* told to end: start no new one */
    bool closing;
    uint32_t handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* Takes a copy of everything in the configuration. ERR_LIMIT if a path or the arguments are too
 * long. */
MUST_CHECK enum error guard_link_fill_arguments(struct guard_link *link,
                                                const struct guard_link_config *config);
/* Starts a guardian, detached; it says itself in its log if it cannot run. Nothing while the one
 * that we started last is there. */
void guard_link_spawn(struct guard_link *link);

/* Every handle of the link is closed with this. */
void guard_link_on_closed(uv_handle_t *handle);

#endif
