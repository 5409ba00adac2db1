/* SPDX-License-Identifier: Apache-2.0 */
/* See work.h. Loop and thread share one mutex-guarded slot: the job to do, or its result. */
#include "replication/work.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

enum slot {
    SLOT_IDLE,
    SLOT_GIVEN,
    SLOT_RUNNING,
    SLOT_DONE,
};

enum {
    PASSWD_TEXT_SIZE = 4096
};

struct worker {
    uv_thread_t thread;
    uv_async_t async;
    uv_mutex_t mutex;
    uv_cond_t wake;
    enum slot slot; /* the next five: under the mutex */
    bool ending;
    work_job *run;
    void *job;
    enum error error;

    struct work work;   /* of the thread while SLOT_RUNNING */
    work_done *on_done; /* of the loop */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void thread_main(void *arg);
static void on_async(uv_async_t *async);
static void end_if_idle(struct worker *worker);
static void on_closed(uv_handle_t *handle);
static void clear_cancel(const struct work *work);

enum error os_user_find(const char *name, struct os_user *user_out)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char text[PASSWD_TEXT_SIZE];
    uid_t self = geteuid();
    int code = name == NULL || name[0] == '\0'
                   ? getpwuid_r(self, &entry, text, sizeof(text), &found)
                   : getpwnam_r(name, &entry, text, sizeof(text), &found);

    if (code != 0 || found == NULL) {
        return ERR_NOT_FOUND;
    }
    if (found->pw_uid != self && self != 0) {
        return ERR_DENIED;
    }
    if (strlen(found->pw_name) >= OS_USER_NAME_SIZE) {
        return ERR_LIMIT;
    }
    *user_out = (struct os_user){
        .uid = found->pw_uid, .gid = found->pw_gid, .change = found->pw_uid != self};
    memcpy(user_out->name, found->pw_name, strlen(found->pw_name) + 1);
    return ERR_OK;
}

enum error work_fail(struct work *work, enum error error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(work->message, sizeof(work->message), format, args);
    va_end(args);
    return error;
}

enum error work_wait(const struct work *work, int fd, short events, uint64_t timeout_ms)
{
    struct pollfd fds[2] = {
        {.fd = work->cancel_fd, .events = POLLIN},
        {.fd = fd, .events = events},
    };
    uint64_t until_ms = clock_monotonic_ms() + timeout_ms;

    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        uint64_t left_ms = now_ms < until_ms ? until_ms - now_ms : 0;
        int ready = poll(fds, 2, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        CHECK(ready >= 0 || errno == EINTR);
        if (ready > 0 && fds[0].revents != 0) {
            return ERR_CANCELLED;
        }
        if (ready > 0) {
            return ERR_OK;
        }
        if (ready == 0 && clock_monotonic_ms() >= until_ms) {
            return ERR_TIMEOUT;
        }
    }
}

struct worker *worker_new(struct uv_loop_s *loop)
{
    struct worker *worker = mem_new(sizeof(*worker));

    worker->work.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(worker->work.cancel_fd >= 0);
    CHECK(uv_mutex_init(&worker->mutex) == 0);
    CHECK(uv_cond_init(&worker->wake) == 0);
    CHECK(uv_async_init(loop, &worker->async, on_async) == 0);
    worker->async.data = worker;
    CHECK(uv_thread_create(&worker->thread, thread_main, worker) == 0);
    return worker;
}

bool worker_is_idle(const struct worker *worker)
{
    return worker->on_done == NULL;
}

void worker_run(struct worker *worker, work_job *run, work_done *done, void *job)
{
    CHECK(worker_is_idle(worker));
    CHECK(worker->closed == NULL);
    clear_cancel(&worker->work);
    worker->on_done = done;
    uv_mutex_lock(&worker->mutex);
    CHECK(worker->slot == SLOT_IDLE);
    worker->run = run;
    worker->job = job;
    worker->slot = SLOT_GIVEN;
    uv_cond_signal(&worker->wake);
    uv_mutex_unlock(&worker->mutex);
}

void worker_cancel(struct worker *worker)
{
    uint64_t one = 1;

    if (!worker_is_idle(worker)) {
        ssize_t written = write(worker->work.cancel_fd, &one, sizeof(one));
        CHECK(written == (ssize_t)sizeof(one) || errno == EAGAIN);
    }
}

void worker_free(struct worker *worker, void (*closed)(void *ctx), void *ctx)
{
    CHECK(worker->closed == NULL);
    worker->closed = closed;
    worker->closed_ctx = ctx;
    worker_cancel(worker);
    end_if_idle(worker);
}

static void thread_main(void *arg)
{
    struct worker *worker = arg;

    uv_mutex_lock(&worker->mutex);
    while (!worker->ending) {
        if (worker->slot != SLOT_GIVEN) {
            uv_cond_wait(&worker->wake, &worker->mutex);
            continue;
        }
        worker->slot = SLOT_RUNNING;
        uv_mutex_unlock(&worker->mutex);
        worker->work.message[0] = '\0';
        enum error error = worker->run(&worker->work, worker->job);
        uv_mutex_lock(&worker->mutex);
        worker->error = error;
        worker->slot = SLOT_DONE;
        CHECK(uv_async_send(&worker->async) == 0);
    }
    uv_mutex_unlock(&worker->mutex);
}

static void on_async(uv_async_t *async)
{
    struct worker *worker = async->data;

    uv_mutex_lock(&worker->mutex);
    bool done = worker->slot == SLOT_DONE;
    enum error error = worker->error;
    void *job = worker->job;
    if (done) {
        worker->slot = SLOT_IDLE;
    }
    uv_mutex_unlock(&worker->mutex);
    if (!done) {
        return;
    }
    work_done *on_done = worker->on_done;
    char message[WORK_MESSAGE_SIZE];
    memcpy(message, worker->work.message, sizeof(message));
    worker->on_done = NULL;
    on_done(error, message, job); /* may give the next job */
    end_if_idle(worker);
}

static void end_if_idle(struct worker *worker)
{
    if (worker->closed == NULL || !worker_is_idle(worker) ||
        uv_is_closing((const uv_handle_t *)&worker->async)) {
        return;
    }
    uv_mutex_lock(&worker->mutex);
    worker->ending = true;
    uv_cond_signal(&worker->wake);
    uv_mutex_unlock(&worker->mutex);
    CHECK(uv_thread_join(&worker->thread) == 0);
    uv_close((uv_handle_t *)&worker->async, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct worker *worker = handle->data;
    void (*closed)(void *ctx) = worker->closed;
    void *ctx = worker->closed_ctx;

    uv_cond_destroy(&worker->wake);
    uv_mutex_destroy(&worker->mutex);
    (void)close(worker->work.cancel_fd);
    mem_free(worker);
    closed(ctx);
}

static void clear_cancel(const struct work *work)
{
    uint64_t count = 0;
    ssize_t got = read(work->cancel_fd, &count, sizeof(count));

    CHECK(got == (ssize_t)sizeof(count) || errno == EAGAIN);
}
