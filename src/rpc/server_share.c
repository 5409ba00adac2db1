/* SPDX-License-Identifier: Apache-2.0 */
/* What each may take of a server: connections, and memory for what it does not read. By class, so
 * that clients do not take what sidecars and members live on, and by identity among clients, so
 * that one certificate does not take what all others live on. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/net_internal.h"
#include "rpc/server_internal.h"

#include <stdio.h>
#include <string.h>

/* Parts of a whole, in 64ths for connections. */
enum {
    WHOLE = 64,
    CLIENTS_PART = 48,
    CLIENT_PART = 40,
    OPERATORS_PART = 8,
    NOBODY_PART = 1,
    CONNECTIONS_MIN = 2, /* of each class, however few there are */
    OPERATORS_QUEUE = 4, /* one part of so many */
    CLIENT_QUEUE = 2,
    NOBODY_QUEUE = 512,
};

static struct server_identity *
find_identity(struct server *server, const char *name, enum server_class class);
static bool has_share(const struct server *server, const struct server_identity *identity);
static size_t room_of(const struct server_call *call, size_t times);
static size_t left_of(size_t max, size_t used);
static size_t least(size_t a, size_t b);

void server_share_init(struct server *server)
{
    for (uint32_t class = 0; class < SERVER_CLASSES; class ++) {
        server->class_queued[class].parent = &server->queued;
    }
}

bool server_share_enter(struct server_connection *connection)
{
    struct server *server = connection->server;
    const struct server_options *options = &server->options;
    const char *name = stream_peer(connection->stream);
    enum server_class class =
        options->class_of == NULL ? SERVER_TRUSTED : options->class_of(name, options->ctx);
    struct server_identity *identity = find_identity(server, name, class);
    connection->identity = identity;
    identity->connections++;
    server->class_connections[class]++;
    if (has_share(server, identity)) {
        if (class == SERVER_TRUSTED || class == SERVER_OPERATOR) {
            stream_prefer(connection->stream);
            stream_remember_source(connection->stream); /* it must be able to come again */
        }
        return true;
    }
    server_share_refused(connection, NET_REFUSED_SHARE, "");
    server_share_leave(connection);
    return false;
}

void server_share_leave(struct server_connection *connection)
{
    struct server *server = connection->server;
    struct server_identity *identity = connection->identity;
    if (identity == NULL) {
        return;
    }
    connection->identity = NULL;
    server->class_connections[identity->class]--;
    identity->connections--;
    if (identity->connections > 0) {
        return;
    }
    CHECK(identity->queued.bytes == 0 && identity->intake == 0);
    struct server_identity **link = &server->identities;
    while (*link != identity) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = identity->next;
    mem_free(identity->name);
    mem_free(identity);
}

size_t server_call_room(const struct server_call *call)
{
    size_t room = room_of(call, 1);
    if (room >= SERVER_SMALL_BYTES) {
        return room;
    }
    return least(room_of(call, 2), SERVER_SMALL_BYTES);
}

void server_share_refused(const struct server_connection *connection,
                          enum net_refusal cause,
                          const char *why)
{
    char who[NET_DETAIL_SIZE];
    if (connection->server == NULL) {
        return;
    }
    (void)snprintf(who,
                   sizeof(who),
                   "port=%u who=%.120s",
                   connection->server->port,
                   log_quote(stream_peer(connection->stream)));
    size_t len = strlen(who);
    if (why[0] != '\0') {
        (void)snprintf(who + len, sizeof(who) - len, " why=%.100s", log_quote(why));
    }
    net_refused(connection->server->net, cause, who);
}

size_t server_share_bytes(size_t most, enum server_class class)
{
    switch (class) {
    case SERVER_NOBODY:
        return most / NOBODY_QUEUE;
    case SERVER_OPERATOR:
        return most / OPERATORS_QUEUE;
    case SERVER_CLIENT:
    case SERVER_TRUSTED:
    case SERVER_CLASSES:
        break;
    }
    return most;
}

bool server_call_admit(struct server_call *call)
{
    const struct server_options *options = &call->connection->server->options;
    return options->admit == NULL || options->admit(call, options->ctx);
}

/* A list: there are as many as certificates in use. The one found moves to its front. */
static struct server_identity *
find_identity(struct server *server, const char *name, enum server_class class)
{
    struct server_identity **link = &server->identities;
    while (*link != NULL && ((*link)->class != class || strcmp((*link)->name, name) != 0)) {
        link = &(*link)->next;
    }
    struct server_identity *identity = *link;
    if (identity == NULL) {
        identity = mem_new(sizeof(*identity));
        identity->name = mem_dup_string(name);
        identity->class = class;
        identity->queued.parent = &server->class_queued[class];
    } else {
        *link = identity->next;
    }
    identity->next = server->identities;
    server->identities = identity;
    return identity;
}

/* Counted already. */
static bool has_share(const struct server *server, const struct server_identity *identity)
{
    static const uint32_t parts[SERVER_CLASSES] = {
        [SERVER_NOBODY] = NOBODY_PART,
        [SERVER_CLIENT] = CLIENTS_PART,
        [SERVER_OPERATOR] = OPERATORS_PART,
        [SERVER_TRUSTED] = WHOLE,
    };
    uint64_t all = stream_listener_connections_max(server->listener);
    uint64_t most = all * parts[identity->class] / WHOLE;
    uint32_t count = server->class_connections[identity->class];
    if (count > CONNECTIONS_MIN && count > most) {
        return false;
    }
    return identity->class != SERVER_CLIENT || identity->connections <= CONNECTIONS_MIN ||
           identity->connections <= all * CLIENT_PART / WHOLE;
}

/* With so many times what is due. */
static size_t room_of(const struct server_call *call, size_t times)
{
    const struct server_connection *connection = call->connection;
    const struct server *server = connection->server;
    const struct server_identity *identity = connection->identity;
    size_t queued = h2_queued_total(connection->h2);
    size_t of_class = times * server_share_bytes(server->options.queue_bytes_max, identity->class);
    size_t room = left_of(of_class, server->class_queued[identity->class].bytes);
    if (queued > 0 || times > 1) {
        room = least(room, left_of(times * server->options.connection_queue_bytes_max, queued));
    }
    if (identity->class == SERVER_CLIENT) {
        room = least(room, left_of(of_class / CLIENT_QUEUE, identity->queued.bytes));
    }
    return room;
}

static size_t left_of(size_t max, size_t used)
{
    return used < max ? max - used : 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}
