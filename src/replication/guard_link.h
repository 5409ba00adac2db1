/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's line to its guardian: starts one (detached, a session of its own, so that it
 * outlives us) if none answers, connects, connects again after a loss, and turns requests into
 * answers. While no guardian is there, nothing is known of the database, and nothing may be started
 * or promoted. One loop thread. */
#ifndef INDABA_REPLICATION_GUARD_LINK_H
#define INDABA_REPLICATION_GUARD_LINK_H

#include "base/ids.h"
#include "replication/guard_protocol.h"

struct uv_loop_s;
struct guard_link;

enum {
    GUARD_ARGUMENTS_MAX = 32,
};

struct guard_link_config {
    const char *program;     /* our own binary; NULL: /proc/self/exe */
    const char *run_dir;     /* socket and lock; its path at most 90 bytes */
    const char *state_dir;   /* the guardian's own file */
    const char *data_dir;    /* processes with this working directory belong to the database */
    const char *log_file;    /* of the guardian */
    const char *output;      /* of the database */
    const char *user;        /* to run it as; NULL or "": as we do */
    int stop_signal;         /* on which the database ends in order; 0: SIGINT */
    const char *const *argv; /* of the database, NULL-terminated, argv[0] an absolute path */
};

/* What the guardian last said. */
struct guard_status {
    bool connected; /* false: all else is zero, nothing is known */
    bool running;
    bool writable;
    bool killing;
    bool leftover;
    bool page; /* what it starts gets a page for a gate */
    int32_t pid;
    int32_t last_exit;
    uint64_t starts;
    struct epoch epoch;
    uint64_t deadline_ns;
    struct epoch fenced_epoch;  /* durable, verified process by process */
    struct guard_folder folder; /* of its last start; nonce 0: it made none */
    uint64_t office_nonce;      /* see guard_protocol.h */
};

/* `error`: ERR_OK; ERR_STALE_EPOCH; ERR_PRECONDITION; ERR_SYSTEM; ERR_EXHAUSTED; ERR_CLOSED if the
 * guardian was lost before it answered: the outcome is in the next status. */
typedef void guard_done(enum error error, const struct guard_status *status, void *ctx);

/* Copies the configuration. `on_change` comes whenever the status changed, connection included. */
MUST_CHECK enum error guard_link_new(struct uv_loop_s *loop,
                                     const struct guard_link_config *config,
                                     void (*on_change)(void *ctx),
                                     void *ctx,
                                     struct guard_link **link_out);
/* The guardian and the database run on. `closed` comes from the loop; pending requests are dropped
 * without an answer. */
void guard_link_free(struct guard_link *link, void (*closed)(void *ctx), void *ctx);

/* Adds a listener for status changes (the agent's; the first one is of whoever made the link). At
 * most 4. */
void guard_link_listen(struct guard_link *link, void (*on_change)(void *ctx), void *ctx);

const struct guard_status *guard_link_status(const struct guard_link *link);
/* So long a guardian that is connected has not answered, in seconds; 0: it answers. After some ten
 * it is killed. */
uint32_t guard_link_silent_s(const struct guard_link *link);

/* Requests; `done` may be NULL. ERR_UNAVAILABLE while not connected, ERR_EXHAUSTED if 16 wait. */
MUST_CHECK enum error
guard_link_arm(struct guard_link *link, struct epoch epoch, uint64_t deadline_ns);

/* `folder` as it is now, its fresh nonce already in it; `nonce_before` what was found there.
 * NULL: nobody will ask what becomes of the folder. */
struct guard_start {
    struct guard_folder folder;
    uint64_t nonce_before;
};

MUST_CHECK enum error guard_link_start(struct guard_link *link,
                                       const struct guard_start *start,
                                       guard_done *done,
                                       void *ctx);
MUST_CHECK enum error
guard_link_writable(struct guard_link *link, struct epoch epoch, guard_done *done, void *ctx);
/* Who must hold a commit under `members->request.epoch`; the gate knows once it is done. Only to a
 * guardian that has a page. */
MUST_CHECK enum error guard_link_members(struct guard_link *link,
                                         const struct guard_members *members,
                                         guard_done *done,
                                         void *ctx);
MUST_CHECK enum error
guard_link_kill(struct guard_link *link, struct epoch epoch, guard_done *done, void *ctx);
MUST_CHECK enum error
guard_link_stop(struct guard_link *link, uint32_t bound_ms, guard_done *done, void *ctx);
/* Ends database and guardian; no new guardian is started afterwards. */
MUST_CHECK enum error guard_link_exit(struct guard_link *link, guard_done *done, void *ctx);

#endif
