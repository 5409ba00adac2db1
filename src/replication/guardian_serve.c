/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian's clients. A request is checked at once, acted on at once, and answered when what it
 * promises holds: an epoch is durable, nothing is left. A client that does not read is dropped. */
#include "replication/guardian_internal.h"

#include "base/check.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_whole_message(const struct guard_members *message, ssize_t got);
static enum guard_verdict take(struct guardian *guardian, const struct guard_members *message);
static enum guard_verdict arm(struct guardian *guardian, const struct guard_request *request);
static enum guard_verdict set_writable(struct guardian *guardian,
                                       const struct guard_request *request);
static enum guard_verdict start(struct guardian *guardian, const struct guard_request *request);
static bool is_complete(const struct guardian *guardian, const struct guard_request *request);
static void answer(struct guardian *guardian,
                   int client,
                   const struct guard_request *request,
                   enum guard_verdict verdict);
static void drop(struct guardian *guardian, int client);
static struct guard_answer status_of(const struct guardian *guardian);
static int free_pending(const struct guardian *guardian);

void guardian_serve_accept(struct guardian *guardian)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    int fd = accept4(guardian->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
                 (peer.uid == 0 || peer.uid == geteuid());
    for (int i = 0; known && i < GUARD_CLIENTS_MAX; i++) {
        if (guardian->clients[i].fd < 0) {
            guardian->clients[i] = (struct guardian_client){.fd = fd, .pid = peer.pid};
            guardian_page_update(guardian);
            return;
        }
    }
    (void)close(fd);
}

void guardian_serve_read(struct guardian *guardian, int client)
{
    struct guard_members message;
    const struct guard_request *request = &message.request;

    for (;;) {
        ssize_t got = recv(guardian->clients[client].fd, &message, sizeof(message), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (!has_whole_message(&message, got)) {
            drop(guardian, client);
            return;
        }
        int slot = free_pending(guardian);
        enum guard_verdict verdict = slot < 0 ? GUARD_BUSY : take(guardian, &message);
        guardian_page_update(guardian); /* before it is answered */
        if (verdict == GUARD_OK && !is_complete(guardian, request)) {
            guardian->pending[slot] =
                (struct guardian_pending){.client = client, .request = *request};
        } else {
            answer(guardian, client, request, verdict);
        }
        if (guardian->clients[client].fd < 0) {
            return;
        }
    }
}

void guardian_serve_flush(struct guardian *guardian)
{
    for (int i = 0; i < GUARD_PENDING_MAX; i++) {
        struct guardian_pending *pending = &guardian->pending[i];
        if (pending->client < 0) {
            continue;
        }
        bool complete = is_complete(guardian, &pending->request);
        bool failed = !complete && guardian->writer == 0 && guardian->writer_errno != 0 &&
                      guardian_is_still(guardian);
        if (complete || failed) {
            int client = pending->client;
            pending->client = -1;
            answer(guardian, client, &pending->request, complete ? GUARD_OK : GUARD_FAILED);
        }
    }

    struct guard_answer status = status_of(guardian);
    status.deadline_ns = 0; /* moves with every renewal: no news */
    if (memcmp(&status, &guardian->pushed, sizeof(status)) == 0) {
        return;
    }
    guardian->pushed = status;
    struct guard_request nobody = {.kind = GUARD_STATUS};
    for (int i = 0; i < GUARD_CLIENTS_MAX; i++) {
        if (guardian->clients[i].fd >= 0) {
            answer(guardian, i, &nobody, GUARD_OK);
        }
    }
}

static bool has_whole_message(const struct guard_members *message, ssize_t got)
{
    if (got < (ssize_t)sizeof(message->request)) {
        return false;
    }
    size_t wanted =
        message->request.kind == GUARD_MEMBERS ? sizeof(*message) : sizeof(message->request);
    return (size_t)got == wanted;
}

static enum guard_verdict take(struct guardian *guardian, const struct guard_members *message)
{
    const struct guard_request *request = &message->request;

    if (request->version != GUARD_PROTOCOL_VERSION || request->sequence == 0) {
        return GUARD_BAD_REQUEST;
    }
    switch (request->kind) {
    case GUARD_STATUS:
        return GUARD_OK;
    case GUARD_START:
        return start(guardian, request);
    case GUARD_ARM:
        return arm(guardian, request);
    case GUARD_WRITABLE:
        return set_writable(guardian, request);
    case GUARD_KILL:
        if (guardian->writable && request->epoch < guardian->epoch) {
            return GUARD_STALE;
        }
        if (request->epoch > guardian->fenced_epoch || !guardian_is_still(guardian)) {
            guardian_fence(guardian, request->epoch, "told so");
        }
        return GUARD_OK;
    case GUARD_STOP:
        guardian_stop(guardian, request->bound_ms);
        return GUARD_OK;
    case GUARD_EXIT:
        guardian_leave(guardian);
        return GUARD_OK;
    case GUARD_MEMBERS:
        return guardian_page_members(guardian, message);
    default:
        return GUARD_BAD_REQUEST;
    }
}

static enum guard_verdict arm(struct guardian *guardian, const struct guard_request *request)
{
    if (request->epoch < guardian->epoch || request->epoch <= guardian->fenced_epoch) {
        return GUARD_STALE;
    }
    if (guardian->writable && request->epoch != guardian->epoch) {
        return GUARD_NOT_NOW; /* what runs is writable under another epoch: fence it first */
    }
    if (request->epoch > guardian->epoch) {
        guardian->epoch = request->epoch;
        guardian->deadline_ns = request->deadline_ns;
    } else if (request->deadline_ns > guardian->deadline_ns) {
        guardian->deadline_ns = request->deadline_ns;
    }
    return GUARD_OK;
}

static enum guard_verdict set_writable(struct guardian *guardian,
                                       const struct guard_request *request)
{
    if (request->epoch != guardian->epoch || request->epoch <= guardian->fenced_epoch) {
        return GUARD_STALE;
    }
    if (guardian->child == 0 || guardian->kill != KILL_IDLE || guardian->leaving ||
        clock_boottime_ns() >= guardian->deadline_ns) {
        return GUARD_NOT_NOW;
    }
    guardian->writable = true;
    guardian->office_nonce = guardian->folder.nonce;
    return GUARD_OK;
}

static enum guard_verdict start(struct guardian *guardian, const struct guard_request *request)
{
    if (!guardian_is_still(guardian) || guardian->leaving) {
        return GUARD_NOT_NOW;
    }
    CHECK(!guardian->writable);
    guardian->last_exit = 0;
    int code = guardian_spawn(guardian);
    if (code != 0) {
        guardian->spawn_errno = code;
        return GUARD_FAILED;
    }
    const struct guard_folder *folder = &request->folder;
    if (guardian->folder.nonce != request->nonce_before ||
        guardian->folder.device != folder->device || guardian->folder.inode != folder->inode) {
        guardian->office_nonce = 0; /* somebody else was at it */
    }
    guardian->folder = *folder;
    return GUARD_OK;
}

static bool is_complete(const struct guardian *guardian, const struct guard_request *request)
{
    switch (request->kind) {
    case GUARD_ARM:
    case GUARD_WRITABLE:
        return guardian->durable_epoch >= request->epoch;
    case GUARD_KILL:
        return guardian->durable_fenced_epoch >= request->epoch && !guardian->writable &&
               (guardian->kill == KILL_IDLE || guardian->census.alive == 0);
    case GUARD_STOP:
    case GUARD_EXIT:
        return guardian_is_still(guardian) &&
               guardian->durable_fenced_epoch == guardian->fenced_epoch;
    default:
        return true;
    }
}

static void answer(struct guardian *guardian,
                   int client,
                   const struct guard_request *request,
                   enum guard_verdict verdict)
{
    struct guard_answer reply = status_of(guardian);

    reply.kind = request->kind;
    reply.sequence = request->sequence;
    reply.verdict = verdict;
    if (verdict == GUARD_FAILED) {
        reply.system_error = (uint32_t)(request->kind == GUARD_START ? guardian->spawn_errno
                                                                     : guardian->writer_errno);
    }
    if (guardian->clients[client].fd >= 0 &&
        send(guardian->clients[client].fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) !=
            (ssize_t)sizeof(reply)) {
        drop(guardian, client);
    }
}

static void drop(struct guardian *guardian, int client)
{
    (void)close(guardian->clients[client].fd);
    guardian->clients[client] = (struct guardian_client){.fd = -1};
    guardian_page_update(guardian);
    for (int i = 0; i < GUARD_PENDING_MAX; i++) {
        if (guardian->pending[i].client == client) {
            guardian->pending[i].client = -1;
        }
    }
}

static struct guard_answer status_of(const struct guardian *guardian)
{
    uint32_t left = guardian->census.unkillable + guardian->census.zombies;
    bool killing = guardian->kill == KILL_KILLING;
    /* Durably over is not enough: somebody of it may still be alive. */
    bool fenced = !guardian->writable &&
                  !(killing && (guardian->kill_passes == 0 || guardian->census.alive > 0));

    return (struct guard_answer){
        .version = GUARD_PROTOCOL_VERSION,
        .kind = GUARD_STATUS,
        .flags = (guardian->child != 0 ? GUARD_FLAG_RUNNING : 0u) |
                 (guardian->writable ? GUARD_FLAG_WRITABLE : 0u) |
                 (guardian->kill != KILL_IDLE ? GUARD_FLAG_KILLING : 0u) |
                 (killing && guardian_is_stuck(guardian) ? GUARD_FLAG_LEFTOVER : 0u) |
                 (guardian->page != NULL ? GUARD_FLAG_PAGE : 0u),
        .leftovers = killing ? guardian->census.alive + left : 0,
        .pid = guardian->child,
        .last_exit = guardian->last_exit,
        .starts = guardian->starts,
        .epoch = guardian->durable_epoch,
        .deadline_ns = guardian->deadline_ns,
        .fenced_epoch = fenced ? guardian->durable_fenced_epoch : 0,
        .folder = guardian->folder,
        .office_nonce = guardian->office_nonce,
    };
}

static int free_pending(const struct guardian *guardian)
{
    for (int i = 0; i < GUARD_PENDING_MAX; i++) {
        if (guardian->pending[i].client < 0) {
            return i;
        }
    }
    return -1;
}
