/* SPDX-License-Identifier: Apache-2.0 */
/* See tls_watch.h. */
#include "rpc/tls_watch.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <uv.h>

enum {
    LOOK_EVERY_MS = 60000,
};

struct tls_watch {
    struct tls *tls;
    uv_timer_t timer;
    uv_work_t work;
    bool working; /* the next four are the thread's until it is done */
    bool asked;
    enum error error;
    struct tls_reading *reading; /* NULL: nothing changed */
    struct reason reason;
    bool again; /* asked for while it worked */
    bool closing;
    bool closed;
};

static void on_timer(uv_timer_t *timer);
static void begin(struct tls_watch *watch, bool asked);
static void look(uv_work_t *work);
static void on_looked(uv_work_t *work, int status);
static void take(struct tls_watch *watch);
static void on_closed(uv_handle_t *handle);
static void free_if_done(struct tls_watch *watch);

struct tls_watch *tls_watch_new(struct uv_loop_s *loop, struct tls *tls)
{
    struct tls_watch *watch = mem_new(sizeof(*watch));
    watch->tls = tls;
    watch->work.data = watch;
    watch->timer.data = watch;
    CHECK(uv_timer_init(loop, &watch->timer) == 0);
    CHECK(uv_timer_start(&watch->timer, on_timer, LOOK_EVERY_MS, LOOK_EVERY_MS) == 0);
    return watch;
}

void tls_watch_now(struct tls_watch *watch)
{
    if (watch->working) {
        watch->again = true;
    } else {
        begin(watch, true);
    }
}

void tls_watch_free(struct tls_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    watch->closing = true;
    uv_close((uv_handle_t *)&watch->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct tls_watch *watch = timer->data;
    if (!watch->working) {
        begin(watch, false);
    }
}

static void begin(struct tls_watch *watch, bool asked)
{
    CHECK(!watch->working);
    watch->working = true;
    watch->again = false;
    watch->asked = asked;
    watch->error = ERR_OK;
    watch->reading = NULL;
    CHECK(uv_queue_work(watch->timer.loop, &watch->work, look, on_looked) == 0);
}

/* On a thread. */
static void look(uv_work_t *work)
{
    struct tls_watch *watch = work->data;
    if (watch->asked || tls_files_changed(watch->tls)) {
        watch->error = tls_read(watch->tls, &watch->reason, &watch->reading);
    }
}

static void on_looked(uv_work_t *work, int status)
{
    struct tls_watch *watch = work->data;
    CHECK(status == 0);
    watch->working = false;
    if (watch->closing) {
        tls_reading_free(watch->reading);
        free_if_done(watch);
        return;
    }
    if (watch->error != ERR_OK || watch->reading != NULL) {
        take(watch);
    }
    if (watch->again) {
        begin(watch, true);
    }
}

static void take(struct tls_watch *watch)
{
    enum error error = watch->error;
    if (error == ERR_OK) {
        error = tls_take(watch->tls, watch->reading, &watch->reason);
    }
    if (error == ERR_OK) {
        log_event(LOG_INFO, "tls.reloaded", "identity=%s", log_quote(tls_identity(watch->tls)));
    } else {
        log_event(LOG_ERROR, "tls.reload_failed", "why=%s", log_quote(watch->reason.text));
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct tls_watch *watch = handle->data;
    watch->closed = true;
    free_if_done(watch);
}

static void free_if_done(struct tls_watch *watch)
{
    if (watch->closed && !watch->working) {
        mem_free(watch);
    }
}
