/* SPDX-License-Identifier: Apache-2.0 */
/* A thread for slow work: one job at a time, its end told on the loop. A driver's actions are long
 * rows of blocking steps (files, programs, statements); on a thread they read as what they are, and
 * a disk that hangs holds up nothing else. Every wait inside a job is also a wait for cancellation:
 * work_wait is the one place where a job sleeps.
 *
 * A job gets copies of what it needs and shares no memory with the loop until it is done. */
#ifndef INDABA_REPLICATION_WORK_H
#define INDABA_REPLICATION_WORK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct uv_loop_s;

enum {
    WORK_MESSAGE_SIZE = 256,
    OS_USER_NAME_SIZE = 64
};

/* Whom files belong to and programs run as. */
struct os_user {
    char name[OS_USER_NAME_SIZE];
    uid_t uid;
    gid_t gid;
    bool change; /* we are somebody else: chown and setuid are needed */
};

/* "" or NULL: whoever we are. ERR_NOT_FOUND for an unknown name, ERR_DENIED if we may not become
 * that user. */
MUST_CHECK enum error os_user_find(const char *name, struct os_user *user_out);

/* Handed to the job; used on its thread alone while it runs. */
struct work {
    int cancel_fd; /* an eventfd, readable once cancelled */
    char message[WORK_MESSAGE_SIZE];
};

/* Writes the message and returns `error`, so that a job can say: return work_fail(...). */
__attribute__((format(printf, 3, 4))) enum error
work_fail(struct work *work, enum error error, const char *format, ...);
/* Waits until `fd` (-1: none) has one of poll(2)'s `events`, at most `timeout_ms`. ERR_TIMEOUT,
 * ERR_CANCELLED. */
MUST_CHECK enum error work_wait(const struct work *work, int fd, short events, uint64_t timeout_ms);

struct worker;
typedef enum error work_job(struct work *work, void *job);
/* `error` is what the job returned, `message` what it left; on the loop thread. */
typedef void work_done(enum error error, const char *message, void *job);

struct worker *worker_new(struct uv_loop_s *loop);
/* True if nothing runs. */
bool worker_is_idle(const struct worker *worker);
/* Only when idle. `job` belongs to the caller and must live until `done`. */
void worker_run(struct worker *worker, work_job *run, work_done *done, void *job);
/* The job running now sees it at its next wait. Nothing when idle. */
void worker_cancel(struct worker *worker);
/* Cancels, waits for the job's end on the loop, ends the thread, then `closed`; `done` still comes
 * before it. */
void worker_free(struct worker *worker, void (*closed)(void *ctx), void *ctx);

#endif
