/* SPDX-License-Identifier: Apache-2.0 */
/* The listener: accepts, bounds how many connections there are and how many of them are still in a
 * handshake (stream_source.c), and hands a stream over when its peer has proven itself. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
    LISTEN_BACKLOG = 1024,
    CONNECTIONS_MAX_DEFAULT = 20000,
    HALF_OPEN_MAX_DEFAULT = 2048,
    FILES_DEFAULT = 1024
};

static uint32_t connections_max(uint32_t wanted);
static uint32_t half_open_max(uint32_t wanted, uint32_t connections);
static int listener_open(struct stream_listener *listener, const struct sockaddr_storage *address);
static void listener_on_connection(uv_stream_t *server, int status);
static bool listener_has_room(struct stream_listener *listener, const struct stream *newcomer);
static void listener_on_turn(uv_idle_t *turn);
static void accept_one(struct stream_listener *listener);
static void listener_on_closed(uv_handle_t *handle);
static enum error listener_refused(const char *address, int uv_error, struct reason *reason);

enum error stream_listen(struct net *net,
                         const struct stream_listen_options *options,
                         struct stream_acceptor acceptor,
                         struct reason *reason,
                         struct stream_listener **listener_out)
{
    struct sockaddr_storage address;
    if (net_parse_address(options->address, &address) != ERR_OK) {
        return reason_set(
            reason,
            ERR_INVALID,
            "cannot listen on \"%.80s\": give a numeric address and port, as 0.0.0.0:7400",
            options->address);
    }
    struct stream_listener *listener = mem_new(sizeof(*listener));
    listener->net = net;
    listener->options = *options;
    listener->options.address = NULL;
    if (options->stream.peer_path_prefix != NULL) {
        listener->peer_path_prefix = mem_dup_string(options->stream.peer_path_prefix);
        listener->options.stream.peer_path_prefix = listener->peer_path_prefix;
    }
    listener->options.connections_max = connections_max(options->connections_max);
    listener->options.half_open_max =
        half_open_max(options->half_open_max, listener->options.connections_max);
    listener->acceptor = acceptor;
    stream_sources_init(listener);
    CHECK(uv_tcp_init(net->loop, &listener->tcp) == 0);
    CHECK(uv_idle_init(net->loop, &listener->turn) == 0);
    listener->tcp.data = listener;
    listener->turn.data = listener;
    listener->handles_open = 2;
    listener->next = net->listeners;
    if (net->listeners != NULL) {
        net->listeners->previous = listener;
    }
    net->listeners = listener;

    int status = listener_open(listener, &address);
    if (status != 0) {
        stream_listener_close(listener);
        return listener_refused(options->address, status, reason);
    }
    *listener_out = listener;
    return ERR_OK;
}

uint16_t stream_listener_port(const struct stream_listener *listener)
{
    return listener->port;
}

uint32_t stream_listener_connections(const struct stream_listener *listener)
{
    return listener->connections;
}

uint32_t stream_listener_connections_max(const struct stream_listener *listener)
{
    return listener->options.connections_max;
}

void stream_listener_close(struct stream_listener *listener)
{
    struct net *net = listener->net;
    for (struct stream *stream = net->streams; stream != NULL; stream = stream->next) {
        if (stream->listener == listener && stream->is_half_open) {
            stream_close(stream);
        } else if (stream->listener == listener) {
            stream_source_leave(stream);
        }
    }
    if (listener->previous != NULL) {
        listener->previous->next = listener->next;
    } else {
        net->listeners = listener->next;
    }
    if (listener->next != NULL) {
        listener->next->previous = listener->previous;
    }
    stream_sources_deinit(listener);
    uv_close((uv_handle_t *)&listener->tcp, listener_on_closed);
    uv_close((uv_handle_t *)&listener->turn, listener_on_closed);
}

void stream_listener_opened(struct stream *stream)
{
    const struct stream_listener *listener = stream->listener;
    stream_source_opened(stream);
    listener->acceptor.on_accept(stream, listener->acceptor.ctx);
}

/* Descriptors are also for files, and for the connections that this process makes: what a listener
 * takes of them is bounded, by half of them if it is the one for everybody. */
static uint32_t connections_max(uint32_t wanted)
{
    struct rlimit files;
    rlim_t limit = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : FILES_DEFAULT;
    rlim_t share = wanted == 0 ? limit / 2 : limit / 8;
    uint32_t most = wanted == 0 ? CONNECTIONS_MAX_DEFAULT : wanted;
    return share < most ? (uint32_t)share : most;
}

/* An eighth of all, so that a port with few connections is not filled by those that say nothing. */
static uint32_t half_open_max(uint32_t wanted, uint32_t connections)
{
    uint32_t most = wanted == 0 ? HALF_OPEN_MAX_DEFAULT : wanted;
    uint32_t share = connections / 8 > 0 ? connections / 8 : 1;
    return share < most && wanted == 0 ? share : most;
}

/* 0 or libuv's error. */
static int listener_open(struct stream_listener *listener, const struct sockaddr_storage *address)
{
    unsigned flags = address->ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
    int status = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)address, flags);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&listener->tcp, LISTEN_BACKLOG, listener_on_connection);
    }
    if (status == 0) {
        /* Else libuv sleeps after each accept, so that other processes at this port get some: on a
         * busy machine for a millisecond, with all that the loop should do. */
        status = uv_tcp_simultaneous_accepts(&listener->tcp, 1);
    }
    struct sockaddr_storage bound = {0};
    int len = sizeof(bound);
    if (status == 0) {
        status = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &len);
    }
    if (status != 0) {
        return status;
    }
    /* The port is at the same place in both kinds of address. */
    struct sockaddr_in v4;
    memcpy(&v4, &bound, sizeof(v4));
    listener->port = ntohs(v4.sin_port);
    return 0;
}

static void listener_on_connection(uv_stream_t *server, int status)
{
    struct stream_listener *listener = server->data;
    if (status != 0) {
        char who[NET_ADDRESS_SIZE];
        (void)snprintf(who, sizeof(who), "port=%u", listener->port);
        net_refused(listener->net, NET_REFUSED_DESCRIPTORS, who); /* libuv has dropped it */
        return;
    }
    if (listener->accepted == 0) {
        uv_idle_start(&listener->turn, listener_on_turn);
    }
    if (listener->accepted == STREAM_ACCEPTS_A_TURN) {
        listener->holds = true; /* libuv takes no more before this one is accepted */
        return;
    }
    listener->accepted++;
    accept_one(listener);
}

/* The next turn of the loop. Whoever connects without end is served with the others, not before
 * them. */
static void listener_on_turn(uv_idle_t *turn)
{
    struct stream_listener *listener = turn->data;
    listener->accepted = 0;
    if (!listener->holds) {
        uv_idle_stop(turn);
        return;
    }
    listener->holds = false;
    listener->accepted = 1;
    accept_one(listener);
}

static void accept_one(struct stream_listener *listener)
{
    const struct stream_options *options = &listener->options.stream;
    struct stream *stream = stream_make(listener->net, options);
    int status = uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&stream->tcp);
    struct sockaddr_storage peer = {0};
    int len = sizeof(peer);
    if (status == 0) {
        status = uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&peer, &len);
    }
    if (status != 0) {
        stream_fail_uv(stream, status, "accepting"); /* it is gone already */
        return;
    }
    net_format_address(&peer, stream->peer_address);
    stream->listener = listener;
    stream_source_enter(stream, &peer);
    if (!listener_has_room(listener, stream)) {
        stream_refused(stream, NET_REFUSED_CONNECTIONS);
        stream_close_as(stream, STREAM_FAILED, "too many connections");
        return;
    }
    stream_source_make_room(stream);
    /* Urgent are those whom somebody waits for, not whoever comes to that port. */
    stream->is_urgent =
        options->is_urgent && (listener->options.knows_source == NULL || stream->source->is_known);
    stream->has_parts = !options->is_urgent;
    if (options->tls != NULL) {
        stream->wants_tls = true;
        stream_watch_handshake(stream, options->handshake_timeout_ms);
    }
    stream_begin(stream);
}

/* The newcomer is counted. */
static bool listener_has_room(struct stream_listener *listener, const struct stream *newcomer)
{
    const struct stream_acceptor *acceptor = &listener->acceptor;
    uint32_t max = listener->options.connections_max;
    if (listener->connections > max && acceptor->on_full != NULL) {
        acceptor->on_full(newcomer, acceptor->ctx);
    }
    return listener->connections <= max;
}

static void listener_on_closed(uv_handle_t *handle)
{
    struct stream_listener *listener = handle->data;
    if (--listener->handles_open > 0) {
        return;
    }
    mem_free(listener->peer_path_prefix);
    mem_free(listener);
}

static enum error listener_refused(const char *address, int uv_error, struct reason *reason)
{
    const char *advice = "is the address one of this machine's?";
    enum error error = ERR_IO;
    if (uv_error == UV_EADDRINUSE) {
        error = ERR_BUSY;
        advice = "another process has the port; stop it or choose another port below 32768";
    } else if (uv_error == UV_EACCES) {
        error = ERR_DENIED;
        advice = "ports below 1024 take privilege";
    }
    reason_say(reason, "cannot listen on %s: %s (%s)", address, uv_strerror(uv_error), advice);
    return error;
}
