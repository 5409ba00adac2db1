/* SPDX-License-Identifier: Apache-2.0 */
/* The stream with the leader: see client/client.h. Members that are not the leader end it with
 * UNAVAILABLE and, in ErrorInfo, the leader's address; the next attempt goes there. */
#include "client/client_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    REDIAL_MIN_MS = 20,
    REDIAL_MAX_MS = 200,
};

struct client_session {
    struct client *client;
    const struct client_session_handlers *handlers;
    void *ctx;
    char *path;
    struct channel_call *call; /* NULL between attempts */
    size_t endpoint;
    uint32_t pause_ms;
    bool heard; /* something came on this attempt: the member serves us */
    bool freed;
    char address[NET_ADDRESS_SIZE];
    uv_timer_t redial;
};

static void attempt(struct client_session *session);
static void on_call_message(struct channel_call *call, struct slice message, void *ctx);
static void on_call_done(const struct channel_result *result, void *ctx);
static void lost(struct client_session *session, const char *reason);
static void on_redial(uv_timer_t *timer);
static void on_redial_closed(uv_handle_t *handle);

static const struct channel_stream_handlers CALL_HANDLERS = {
    .on_message = on_call_message,
    .on_done = on_call_done,
};

struct client_session *client_session_new(struct client *client,
                                          const char *path,
                                          const struct client_session_handlers *handlers,
                                          void *ctx)
{
    struct client_session *session = mem_new(sizeof(*session));
    session->client = client;
    session->handlers = handlers;
    session->ctx = ctx;
    session->path = mem_dup_string(path);
    session->endpoint = client->preferred;
    session->pause_ms = REDIAL_MIN_MS;
    CHECK(uv_timer_init(net_loop(client->net), &session->redial) == 0);
    session->redial.data = session;
    CHECK(uv_timer_start(&session->redial, on_redial, 0, 0) == 0);
    return session;
}

void client_session_free(struct client_session *session)
{
    CHECK(!session->freed);
    session->freed = true;
    if (session->call != NULL) {
        channel_call_cancel(session->call);
        session->call = NULL;
    }
    uv_close((uv_handle_t *)&session->redial, on_redial_closed);
}

enum error client_session_send(struct client_session *session, struct slice message)
{
    if (session->call == NULL) {
        return ERR_UNAVAILABLE;
    }
    return channel_call_send(session->call, message);
}

void client_session_move(struct client_session *session, bool served, const char *reason)
{
    if (session->call == NULL) {
        return; /* the next attempt is on its way */
    }
    channel_call_cancel(session->call);
    session->call = NULL;
    size_t next = (session->endpoint + 1) % session->client->endpoints_count;
    if (!served && session->client->preferred == session->endpoint) {
        session->client->preferred = next;
    }
    session->endpoint = next;
    session->heard = session->heard && served;
    lost(session, reason);
}

const char *client_session_peer(const struct client_session *session)
{
    struct client *client = session->client;
    return session->call == NULL ? ""
                                 : channel_peer(client_endpoint_channel(client, session->endpoint));
}

const char *client_session_address(const struct client_session *session)
{
    return session->address;
}

static void attempt(struct client_session *session)
{
    CHECK(session->call == NULL);
    struct client *client = session->client;
    struct channel *channel = client_endpoint_channel(client, session->endpoint);
    channel_redial(channel); /* our own pause between attempts is the backoff */
    struct channel_request request = {.path = session->path, .wait_for_ready = false};
    session->heard = false;
    session->call = channel_stream(channel, &request, &CALL_HANDLERS, session);
    (void)snprintf(session->address,
                   sizeof(session->address),
                   "%s",
                   client->endpoints[session->endpoint].address);
    session->handlers->on_open(session, session->address, session->ctx);
}

static void on_call_message(struct channel_call *call, struct slice message, void *ctx)
{
    struct client_session *session = ctx;
    CHECK(session->call == call);
    if (!session->heard) {
        session->heard = true;
        session->client->preferred = session->endpoint;
    }
    session->handlers->on_message(session, message, session->ctx);
}

static void on_call_done(const struct channel_result *result, void *ctx)
{
    struct client_session *session = ctx;
    struct client *client = session->client;
    session->call = NULL;
    char leader[NET_ADDRESS_SIZE] = "";
    size_t next = (session->endpoint + 1) % client->endpoints_count;
    if (grpc_status_details_find(result->details, "leader_address", leader, sizeof(leader)) ==
            ERR_OK &&
        leader[0] != '\0') {
        next = client_endpoint_find(client, leader, next);
    }
    session->endpoint = next;
    lost(session, result->message);
}

/* Plans the next attempt and tells the owner, in this order: the owner may free the session. */
static void lost(struct client_session *session, const char *reason)
{
    uint64_t pause_ms = session->heard ? 0 : session->pause_ms;
    if (session->heard) {
        session->pause_ms = REDIAL_MIN_MS;
    } else if (session->pause_ms < REDIAL_MAX_MS) {
        session->pause_ms *= 2;
    }
    session->heard = false;
    CHECK(uv_timer_start(&session->redial, on_redial, pause_ms, 0) == 0);
    session->handlers->on_lost(session, reason, session->ctx);
}

static void on_redial(uv_timer_t *timer)
{
    struct client_session *session = timer->data;
    if (session->call == NULL) {
        attempt(session);
    }
}

static void on_redial_closed(uv_handle_t *handle)
{
    struct client_session *session = handle->data;
    mem_free(session->path);
    mem_free(session);
}
