/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Sidecars: the sessions of sidecars, with the leader only. What they say goes into the
 * controller, what it answers goes out; the end of a session reaches it at once, since that is the
 * first evidence of a dead instance. Elsewhere a session is refused with the leader's address. */
#include "api/sessions.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/node.h"
#include "wire/wire_sidecar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SESSIONS_MAX = 40000
};

struct sidecar_session {
    struct sessions *owner;
    uint64_t id; /* given at the hello, so that the controller sees them ascend; 0 before */
    struct server_call *call;
};

struct session_list {
    struct sidecar_session **items;
    uint32_t count;
    uint32_t cap;
};

struct sessions {
    struct front *front;
    struct session_list silent;  /* before their hello */
    struct session_list greeted; /* sorted by id, which only grows */
    uint64_t last_id;
    struct buf scratch;
};

static void on_start(struct server_call *call, void *ctx);
static void on_message(struct server_call *call, struct slice message, void *ctx);
static void on_end(struct server_call *call, void *ctx);
static void on_cancel(struct server_call *call, void *ctx);
static enum error
take(struct sidecar_session *session, const struct wire_sidecar_message *message, char *why);
static enum error take_hello(struct sidecar_session *session, const struct hello *hello, char *why);
static bool
hello_matches(const struct front *front, const char *identity, const struct hello *hello);
static void on_output(const struct controller_output *output, void *ctx);
static void send_output(struct sidecar_session *session, const struct controller_output *output);
static void on_stepped_down(void *ctx);
static void end_session(struct sidecar_session *session, enum error error, const char *why);
static void gone(struct sidecar_session *session);
static void list_push(struct session_list *list, struct sidecar_session *session);
static void list_remove(struct session_list *list, uint32_t at);
static uint32_t position_of(const struct session_list *list, uint64_t id);
static uint32_t position_of_silent(const struct session_list *list,
                                   const struct sidecar_session *session);
static void list_free(struct session_list *list);

struct sessions *sessions_new(struct front *front)
{
    struct sessions *sessions = mem_new(sizeof(*sessions));
    sessions->front = front;
    const struct node_sessions hooks = {
        .on_output = on_output,
        .on_stepped_down = on_stepped_down,
        .ctx = sessions,
    };
    node_set_sessions(front_node(front), &hooks);
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    const struct node_sessions none = {0};
    node_set_sessions(front_node(sessions->front), &none);
    list_free(&sessions->silent);
    list_free(&sessions->greeted);
    buf_deinit(&sessions->scratch);
    mem_free(sessions);
}

uint32_t sessions_count(const struct sessions *sessions)
{
    return sessions->silent.count + sessions->greeted.count;
}

void sessions_end(struct sessions *sessions)
{
    while (sessions_count(sessions) > 0) {
        const struct session_list *list =
            sessions->greeted.count > 0 ? &sessions->greeted : &sessions->silent;
        struct sidecar_session *session = list->items[list->count - 1];
        struct server_call *call = session->call;
        gone(session);
        front_refuse_not_leader(sessions->front, call);
    }
}

struct server_method sessions_method(struct sessions *sessions)
{
    return (struct server_method){
        .path = "/indaba.v1.Sidecars/Session",
        .kind = SERVER_BIDI,
        .on_start = on_start,
        .on_message = on_message,
        .on_end = on_end,
        .ctx = sessions,
    };
}

static void on_start(struct server_call *call, void *ctx)
{
    struct sessions *sessions = ctx;
    enum front_role role = front_role_of(sessions->front, server_call_peer(call));
    if (role == FRONT_NOBODY || role == FRONT_CLIENT) {
        front_refuse_role(
            sessions->front, call, "a sidecar's certificate (/sidecar/SHARD/NAME) is needed");
        return;
    }
    if (!node_office(front_node(sessions->front)).in_office) {
        front_refuse_not_leader(sessions->front, call);
        return;
    }
    if (sessions_count(sessions) >= SESSIONS_MAX) {
        server_call_fail(call, ERR_EXHAUSTED, "this member has as many sessions as it may");
        return;
    }
    struct sidecar_session *session = mem_new(sizeof(*session));
    session->owner = sessions;
    session->call = call;
    list_push(&sessions->silent, session);
    server_call_set_user(call, session);
    server_call_set_cancel(call, on_cancel, session);
}

static void on_message(struct server_call *call, struct slice message, void *ctx)
{
    struct sessions *sessions = ctx;
    struct sidecar_session *session = server_call_user(call);
    CHECK(session != NULL && session->call == call);
    struct wire_sidecar_message *decoded = mem_new(sizeof(*decoded));
    char why[TEXT_SIZE] = "the message cannot be read";
    enum error error = wire_sidecar_decode(message, decoded);
    if (error == ERR_OK) {
        why[0] = '\0';
        error = take(session, decoded, why);
    }
    mem_free(decoded);
    if (error != ERR_OK) {
        end_session(session, error, why[0] == '\0' ? error_text(error) : why);
    }
    node_pump(front_node(sessions->front));
}

static void on_end(struct server_call *call, void *ctx)
{
    (void)ctx;
    struct sidecar_session *session = server_call_user(call);
    gone(session);
    server_call_finish(call, GRPC_OK, NULL, slice_of(NULL, 0));
}

static void on_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    gone(ctx);
}

static enum error
take(struct sidecar_session *session, const struct wire_sidecar_message *message, char *why)
{
    struct controller *controller = node_controller(front_node(session->owner->front));
    uint64_t now_ms = clock_monotonic_ms();
    if ((message->kind == WIRE_HELLO) == (session->id != 0)) {
        (void)snprintf(why, TEXT_SIZE, "a session begins with one hello");
        return ERR_PROTOCOL;
    }
    switch (message->kind) {
    case WIRE_HELLO:
        return take_hello(session, &message->hello, why);
    case WIRE_REPORT:
        return controller_report(controller, session->id, &message->report, now_ms);
    case WIRE_RENEWAL:
        return controller_renewal(controller, session->id, &message->renewal);
    }
    return ERR_PROTOCOL;
}

static enum error take_hello(struct sidecar_session *session, const struct hello *hello, char *why)
{
    struct sessions *sessions = session->owner;
    struct front *front = sessions->front;
    const char *identity = server_call_peer(session->call);
    if (!hello_matches(front, identity, hello)) {
        front_denied(front, session->call, "hello for another instance");
        (void)snprintf(why,
                       TEXT_SIZE,
                       "the certificate of %.90s may not speak for %.60s/%.60s",
                       identity,
                       hello->shard,
                       hello->instance);
        return ERR_DENIED;
    }
    list_remove(&sessions->silent, position_of_silent(&sessions->silent, session));
    session->id = ++sessions->last_id;
    list_push(&sessions->greeted, session);
    log_event(LOG_INFO,
              "session.hello",
              "session=%" PRIu64 " shard=%s instance=%s from=%s",
              session->id,
              hello->shard,
              hello->instance,
              server_call_peer_address(session->call));
    return controller_hello(node_controller(front_node(front)), session->id, hello, why);
}

/* A sidecar speaks for its own instance only. */
static bool
hello_matches(const struct front *front, const char *identity, const struct hello *hello)
{
    if (front_role_of(front, identity) != FRONT_SIDECAR) {
        return true;
    }
    char path[sizeof("/sidecar//") + NAME_SIZE + NAME_SIZE];
    (void)snprintf(path, sizeof(path), "/sidecar/%s/%s", hello->shard, hello->instance);
    return strcmp(tls_identity_path(identity), path) == 0;
}

static void on_output(const struct controller_output *output, void *ctx)
{
    struct sessions *sessions = ctx;
    struct session_list *list = &sessions->greeted;
    uint32_t at = position_of(list, output->session);
    if (at == list->count || list->items[at]->id != output->session) {
        return;
    }
    if (output->kind == CONTROLLER_CLOSE) {
        end_session(list->items[at], ERR_UNAVAILABLE, output->text);
    } else {
        send_output(list->items[at], output);
    }
}

static void send_output(struct sidecar_session *session, const struct controller_output *output)
{
    struct wire_coordinator_message *message = mem_new(sizeof(*message));
    switch (output->kind) {
    case CONTROLLER_WELCOME:
        message->kind = WIRE_WELCOME;
        message->welcome.cluster = output->welcome.cluster;
        message->welcome.shard = output->welcome.shard;
        message->welcome.instance = output->welcome.instance;
        message->welcome.term = output->welcome.term;
        message->welcome.cluster_epoch = output->welcome.cluster_epoch;
        message->welcome.member = front_config(session->owner->front)->member;
        (void)snprintf(
            message->welcome.leader, sizeof(message->welcome.leader), "%s", output->welcome.leader);
        break;
    case CONTROLLER_GOAL:
        message->kind = WIRE_GOAL;
        message->goal = output->goal;
        break;
    case CONTROLLER_RENEWAL_ANSWER:
        message->kind = WIRE_RENEWAL_ANSWER;
        message->renewal_answer = output->renewal_answer;
        break;
    case CONTROLLER_PROPOSE:
    case CONTROLLER_READ:
    case CONTROLLER_CLOSE:
        UNREACHABLE("these do not go to a sidecar");
    }
    struct buf *scratch = &session->owner->scratch;
    buf_clear(scratch);
    wire_coordinator_encode(message, scratch);
    mem_free(message);
    if (server_call_send(session->call, buf_view(scratch)) != ERR_OK) {
        end_session(session, ERR_EXHAUSTED, "the sidecar reads too slowly");
    }
}

static void on_stepped_down(void *ctx)
{
    /* The controller has dropped them already; each end tells it again, which does nothing. */
    sessions_end(ctx);
}

static void end_session(struct sidecar_session *session, enum error error, const char *why)
{
    struct server_call *call = session->call;
    struct front *front = session->owner->front;
    log_event(LOG_WARN,
              "session.ended",
              "session=%" PRIu64 " error=%s why=%s",
              session->id,
              error_name(error),
              log_quote(why));
    gone(session);
    if (error == ERR_NOT_LEADER) {
        front_refuse_not_leader(front, call);
    } else {
        server_call_fail(call, error, why);
    }
}

/* The session is over: the controller knows at once. */
static void gone(struct sidecar_session *session)
{
    struct sessions *sessions = session->owner;
    struct node *node = front_node(sessions->front);
    uint64_t id = session->id;
    server_call_set_user(session->call, NULL);
    if (id == 0) {
        list_remove(&sessions->silent, position_of_silent(&sessions->silent, session));
    } else {
        list_remove(&sessions->greeted, position_of(&sessions->greeted, id));
    }
    mem_free(session);
    if (id != 0) {
        controller_session_closed(node_controller(node), id, clock_monotonic_ms());
        node_pump(node);
    }
}

static void list_push(struct session_list *list, struct sidecar_session *session)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 16 : list->cap * 2;
        list->items = mem_resize(list->items, list->cap * sizeof(struct sidecar_session *));
    }
    list->items[list->count++] = session;
}

static void list_remove(struct session_list *list, uint32_t at)
{
    CHECK(at < list->count);
    list->count--;
    for (uint32_t i = at; i < list->count; i++) {
        list->items[i] = list->items[i + 1];
    }
}

/* Where the session with this id is, or would be. */
static uint32_t position_of(const struct session_list *list, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->items[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t position_of_silent(const struct session_list *list,
                                   const struct sidecar_session *session)
{
    uint32_t at = 0;
    while (at < list->count && list->items[at] != session) {
        at++;
    }
    return at;
}

static void list_free(struct session_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        mem_free(list->items[i]);
    }
    mem_free(list->items);
}
