/* SPDX-License-Identifier: Apache-2.0 */
/* See guard_link.h. The socket is SOCK_SEQPACKET, which uv_pipe does not speak: a plain descriptor
 * under uv_poll. A guardian is spawned only when the connect was refused or the socket is missing;
 * the guardian's own lock decides if two are started at once. Starting one is guard_link_spawn.c.
 * A guardian that stands still cannot fence: it is killed, and its database dies with it. */
#include "replication/guard_link_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RETRY_MS = 20,          /* between connects */
    ASK_EVERY_MS = 1000,    /* … and between questions, once connected */
    SILENT_MAX = 10,        /* of those without any answer: it stands still */
    SPAWN_EVERY_TRIES = 50, /* a guardian that came up refused: try another after a second */
};

static void on_retry(uv_timer_t *timer);
static bool try_connect(struct guard_link *link);
static void ask_whether_it_lives(struct guard_link *link);
static void kill_guardian(struct guard_link *link);
static void on_readable(uv_poll_t *poll, int status, int events);
static void take_answer(struct guard_link *link, const struct guard_answer *answer);
static bool is_news(const struct guard_status *before, const struct guard_status *now);
static void disconnected(struct guard_link *link);
static void notify(struct guard_link *link);
static enum error
send_request(struct guard_link *link, struct guard_request request, guard_done *done, void *ctx);
static enum error send_message(struct guard_link *link,
                               struct guard_request *request,
                               size_t size,
                               guard_done *done,
                               void *ctx);
static void free_link(struct guard_link *link);

enum error guard_link_new(struct uv_loop_s *loop,
                          const struct guard_link_config *config,
                          void (*on_change)(void *ctx),
                          void *ctx,
                          struct guard_link **link_out)
{
    struct guard_link *link = mem_new(sizeof(*link));

    link->loop = loop;
    link->fd = -1;
    link->sequence_next = 1;
    enum error error = guard_link_fill_arguments(link, config);
    if (error != ERR_OK) {
        free_link(link);
        return error;
    }
    guard_link_listen(link, on_change, ctx);
    CHECK(uv_timer_init(loop, &link->retry) == 0);
    link->retry.data = link;
    link->handles = 1;
    CHECK(uv_timer_start(&link->retry, on_retry, 0, RETRY_MS) == 0);
    *link_out = link;
    return ERR_OK;
}

void guard_link_free(struct guard_link *link, void (*closed)(void *ctx), void *ctx)
{
    CHECK(!link->closing);
    link->closing = true;
    link->closed = closed;
    link->closed_ctx = ctx;
    if (link->poll != NULL) {
        uv_close((uv_handle_t *)link->poll, guard_link_on_closed);
        (void)close(link->fd);
    }
    if (link->process != NULL) {
        uv_close((uv_handle_t *)link->process, guard_link_on_closed); /* it lives on */
    }
    uv_close((uv_handle_t *)&link->retry, guard_link_on_closed);
}

void guard_link_listen(struct guard_link *link, void (*on_change)(void *ctx), void *ctx)
{
    CHECK(link->listeners_count < LISTENERS_MAX);
    link->listeners[link->listeners_count++] =
        (struct listener){.on_change = on_change, .ctx = ctx};
}

const struct guard_status *guard_link_status(const struct guard_link *link)
{
    return &link->status;
}

enum error guard_link_arm(struct guard_link *link, struct epoch epoch, uint64_t deadline_ns)
{
    struct guard_request request = {
        .kind = GUARD_ARM, .epoch = epoch.value, .deadline_ns = deadline_ns};

    enum error error = send_request(link, request, NULL, NULL);
    if (error == ERR_EXHAUSTED) {
        kill_guardian(link); /* it knows no deadline of so many leases */
    }
    return error;
}

uint32_t guard_link_silent_s(const struct guard_link *link)
{
    return link->silent < 2 ? 0 : link->silent * (ASK_EVERY_MS / 1000);
}

enum error guard_link_start(struct guard_link *link,
                            const struct guard_start *start,
                            guard_done *done,
                            void *ctx)
{
    struct guard_request request = {.kind = GUARD_START};

    if (start != NULL) {
        request.folder = start->folder;
        request.nonce_before = start->nonce_before;
    }
    return send_request(link, request, done, ctx);
}

enum error
guard_link_writable(struct guard_link *link, struct epoch epoch, guard_done *done, void *ctx)
{
    struct guard_request request = {.kind = GUARD_WRITABLE, .epoch = epoch.value};

    return send_request(link, request, done, ctx);
}

enum error guard_link_members(struct guard_link *link,
                              const struct guard_members *members,
                              guard_done *done,
                              void *ctx)
{
    struct guard_members message = *members;

    message.request.kind = GUARD_MEMBERS;
    return send_message(link, &message.request, sizeof(message), done, ctx);
}

enum error guard_link_kill(struct guard_link *link, struct epoch epoch, guard_done *done, void *ctx)
{
    struct guard_request request = {.kind = GUARD_KILL, .epoch = epoch.value};

    return send_request(link, request, done, ctx);
}

enum error guard_link_stop(struct guard_link *link, uint32_t bound_ms, guard_done *done, void *ctx)
{
    struct guard_request request = {.kind = GUARD_STOP, .bound_ms = bound_ms};

    return send_request(link, request, done, ctx);
}

enum error guard_link_exit(struct guard_link *link, guard_done *done, void *ctx)
{
    link->leaving = true;
    return send_request(link, (struct guard_request){.kind = GUARD_EXIT}, done, ctx);
}

static void on_retry(uv_timer_t *timer)
{
    struct guard_link *link = timer->data;

    if (link->poll != NULL) {
        ask_whether_it_lives(link);
        return;
    }
    if (try_connect(link) || link->leaving) {
        return;
    }
    if (link->process == NULL && link->tries++ % SPAWN_EVERY_TRIES == 0) {
        guard_link_spawn(link);
    }
}

static bool try_connect(struct guard_link *link)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return false;
    }
    /* The run folder belongs to the database's user, who must not be taken for a guardian. */
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof(peer);
    if (connect(fd, (const struct sockaddr *)&link->address, sizeof(link->address)) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        (void)close(fd);
        return false;
    }
    link->fd = fd;
    link->pid = peer.pid;
    link->silent = 0;
    link->tries = 0;
    link->poll = mem_new(sizeof(*link->poll));
    CHECK(uv_poll_init(link->loop, link->poll, fd) == 0);
    link->poll->data = link;
    link->handles++;
    CHECK(uv_poll_start(link->poll, UV_READABLE, on_readable) == 0);
    CHECK(uv_timer_start(&link->retry, on_retry, ASK_EVERY_MS, ASK_EVERY_MS) == 0);
    /* The answer makes the status known; until then nothing is said to be connected. */
    if (send_request(link, (struct guard_request){.kind = GUARD_STATUS}, NULL, NULL) != ERR_OK) {
        disconnected(link);
    }
    return true;
}

/* Questions are counted, not seconds: who stood still himself finds the answers only now. */
static void ask_whether_it_lives(struct guard_link *link)
{
    link->silent++;
    if (link->silent > SILENT_MAX) {
        kill_guardian(link);
    } else if (link->silent <= 2) { /* one question is enough, answers are awaited for all */
        (void)send_request(link, (struct guard_request){.kind = GUARD_STATUS}, NULL, NULL);
    }
    if (guard_link_silent_s(link) != 0 && !link->closing) {
        notify(link); /* people are told */
    }
}

/* While we are connected its pid is nobody else's. That the line broke is seen by the poll. */
static void kill_guardian(struct guard_link *link)
{
    log_event(LOG_WARN, "guardian.silent", "pid=%d", (int)link->pid);
    (void)kill(link->pid, SIGKILL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct guard_link *link = poll->data;

    (void)status;
    (void)events;
    while (link->poll == poll && !link->closing) {
        struct guard_answer answer;
        ssize_t got = recv(link->fd, &answer, sizeof(answer), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got != (ssize_t)sizeof(answer) || answer.version != GUARD_PROTOCOL_VERSION) {
            disconnected(link);
            return;
        }
        take_answer(link, &answer);
    }
}

static void take_answer(struct guard_link *link, const struct guard_answer *answer)
{
    static const enum error ERRORS[] = {
        [GUARD_OK] = ERR_OK,
        [GUARD_STALE] = ERR_STALE_EPOCH,
        [GUARD_NOT_NOW] = ERR_PRECONDITION,
        [GUARD_FAILED] = ERR_SYSTEM,
        [GUARD_BAD_REQUEST] = ERR_PROTOCOL,
        [GUARD_BUSY] = ERR_EXHAUSTED,
    };
    struct guard_status status = {
        .connected = true,
        .running = (answer->flags & GUARD_FLAG_RUNNING) != 0,
        .writable = (answer->flags & GUARD_FLAG_WRITABLE) != 0,
        .killing = (answer->flags & GUARD_FLAG_KILLING) != 0,
        .leftover = (answer->flags & GUARD_FLAG_LEFTOVER) != 0,
        .page = (answer->flags & GUARD_FLAG_PAGE) != 0,
        .pid = answer->pid,
        .last_exit = answer->last_exit,
        .starts = answer->starts,
        .epoch = {answer->epoch},
        .deadline_ns = answer->deadline_ns,
        .folder = answer->folder,
        .office_nonce = answer->office_nonce,
        .fenced_epoch = {answer->fenced_epoch},
    };
    struct guard_status before = link->status;

    link->silent = 0;
    link->status = status;
    for (uint32_t i = 0; answer->sequence != 0 && i < GUARD_PENDING_MAX; i++) {
        struct waiting waiting = link->waiting[i];
        if (waiting.sequence != answer->sequence) {
            continue;
        }
        link->waiting[i].sequence = 0;
        if (waiting.done != NULL) {
            enum error error =
                answer->verdict < ARRAY_LEN(ERRORS) ? ERRORS[answer->verdict] : ERR_PROTOCOL;
            waiting.done(error, &link->status, waiting.ctx);
        }
        break;
    }
    if (is_news(&before, &status) && !link->closing) {
        notify(link);
    }
}

/* The deadline moves with every renewal: no news. */
static bool is_news(const struct guard_status *before, const struct guard_status *now)
{
    return before->connected != now->connected || before->running != now->running ||
           before->writable != now->writable || before->killing != now->killing ||
           before->leftover != now->leftover || before->pid != now->pid ||
           before->starts != now->starts || before->epoch.value != now->epoch.value ||
           before->fenced_epoch.value != now->fenced_epoch.value ||
           before->office_nonce != now->office_nonce;
}

static void disconnected(struct guard_link *link)
{
    struct waiting waiting[GUARD_PENDING_MAX];

    memcpy(waiting, link->waiting, sizeof(waiting));
    memset(link->waiting, 0, sizeof(link->waiting));
    memset(&link->status, 0, sizeof(link->status));
    uv_close((uv_handle_t *)link->poll, guard_link_on_closed);
    (void)close(link->fd);
    link->poll = NULL;
    link->fd = -1;
    CHECK(uv_timer_start(&link->retry, on_retry, RETRY_MS, RETRY_MS) == 0);
    for (uint32_t i = 0; i < GUARD_PENDING_MAX && !link->closing; i++) {
        if (waiting[i].sequence != 0 && waiting[i].done != NULL) {
            waiting[i].done(ERR_CLOSED, &link->status, waiting[i].ctx);
        }
    }
    notify(link);
}

static void notify(struct guard_link *link)
{
    for (uint32_t i = 0; i < link->listeners_count && !link->closing; i++) {
        link->listeners[i].on_change(link->listeners[i].ctx);
    }
}

static enum error
send_request(struct guard_link *link, struct guard_request request, guard_done *done, void *ctx)
{
    return send_message(link, &request, sizeof(request), done, ctx);
}

/* `request` begins a message of `size` bytes. */
static enum error send_message(struct guard_link *link,
                               struct guard_request *request,
                               size_t size,
                               guard_done *done,
                               void *ctx)
{
    uint32_t slot = 0;

    if (link->fd < 0 || link->closing) {
        return ERR_UNAVAILABLE;
    }
    while (slot < GUARD_PENDING_MAX && link->waiting[slot].sequence != 0) {
        slot++;
    }
    if (slot == GUARD_PENDING_MAX) {
        return ERR_EXHAUSTED;
    }
    request->version = GUARD_PROTOCOL_VERSION;
    request->sequence = link->sequence_next++;
    if (send(link->fd, request, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size) {
        return ERR_UNAVAILABLE; /* a lost guardian is seen by the poll */
    }
    link->waiting[slot] = (struct waiting){.sequence = request->sequence, .done = done, .ctx = ctx};
    return ERR_OK;
}

void guard_link_on_closed(uv_handle_t *handle)
{
    struct guard_link *link = handle->data;

    if (handle != (uv_handle_t *)&link->retry) {
        mem_free(handle);
    }
    link->handles--;
    if (link->closing && link->handles == 0) {
        void (*closed)(void *ctx) = link->closed;
        void *ctx = link->closed_ctx;
        free_link(link);
        closed(ctx);
    }
}

static void free_link(struct guard_link *link)
{
    for (uint32_t i = 0; i < ARRAY_LEN(link->strings); i++) {
        mem_free(link->strings[i]);
    }
    mem_free(link->log_file);
    mem_free(link);
}
