/* SPDX-License-Identifier: Apache-2.0 */
/* The shared part of a loop's connections: see net.h; what happens at the end of a turn is in
 * net_turn.c. */
#include "rpc/net.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/h2_memory.h"
#include "rpc/net_internal.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void net_on_closed(uv_handle_t *handle);
static bool net_is_listening(int file);

/* File descriptors that are looked at when all sockets are to be shut; the lowest free one is
 * always taken first, so more would mean that many were open at once. */
enum {
    NET_FILES_MAX = 65536
};

struct net *net_new(struct uv_loop_s *loop)
{
    /* A write to a socket that the peer has closed must be an error, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    struct net *net = mem_new(sizeof(*net));
    net->loop = loop;
    CHECK(uv_prepare_init(loop, &net->prepare) == 0);
    net->prepare.data = net;
    CHECK(uv_prepare_start(&net->prepare, net_on_prepare) == 0);
    uv_unref((uv_handle_t *)&net->prepare);
    CHECK(uv_idle_init(loop, &net->idle) == 0);
    net->idle.data = net;
    net->handles_open = 2;
    for (uint32_t stage = 0; stage < NET_STAGES; stage++) {
        TAILQ_INIT(&net->sleepers[stage]);
    }
    net->h2_pool = h2_pool_new();
    net->refusals = net_refusals_new();
    return net;
}

void net_free(struct net *net)
{
    if (net == NULL) {
        return;
    }
    CHECK(net->streams == NULL);
    CHECK(net->listeners == NULL);
    uv_close((uv_handle_t *)&net->prepare, net_on_closed);
    uv_close((uv_handle_t *)&net->idle, net_on_closed);
}

struct uv_loop_s *net_loop(const struct net *net)
{
    return net->loop;
}

struct h2_pool *net_h2_pool(const struct net *net)
{
    return net->h2_pool;
}

uint32_t net_streams_count(const struct net *net)
{
    return net->streams_count;
}

void net_shutdown_sockets(void)
{
    long limit = sysconf(_SC_OPEN_MAX);
    int end = limit > 0 && limit < NET_FILES_MAX ? (int)limit : NET_FILES_MAX;
    for (int file = 0; file < end; file++) {
        if (net_is_listening(file)) {
            (void)shutdown(file, SHUT_RDWR);
        }
    }
    for (int file = 0; file < end; file++) {
        (void)shutdown(file, SHUT_RDWR);
    }
}

enum error net_check_address(const char *address)
{
    struct sockaddr_storage ignored;
    return net_parse_address(address, &ignored);
}

bool net_is_host(const char *address, const char *host)
{
    struct sockaddr_storage parsed;
    char text[NET_ADDRESS_SIZE];
    if (net_parse_address(address, &parsed) != ERR_OK) {
        return false;
    }
    net_format_host(&parsed, text);
    return strcmp(text, host) == 0;
}

bool net_is_loopback(const char *address)
{
    struct sockaddr_storage parsed;
    if (net_parse_address(address, &parsed) != ERR_OK) {
        return false;
    }
    if (parsed.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &parsed, sizeof(v6));
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    struct sockaddr_in v4;
    memcpy(&v4, &parsed, sizeof(v4));
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
}

enum error net_parse_address(const char *address, struct sockaddr_storage *out)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || strlen(address) >= NET_ADDRESS_SIZE || colon[1] == '\0' ||
        strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return ERR_INVALID;
    }
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port > UINT16_MAX) {
        return ERR_INVALID;
    }
    bool bracketed = address[0] == '[';
    if (bracketed && (colon - address < 2 || colon[-1] != ']')) {
        return ERR_INVALID;
    }
    char host[NET_ADDRESS_SIZE];
    const char *start = bracketed ? address + 1 : address;
    size_t host_len = (size_t)(colon - start) - (bracketed ? 1 : 0);
    memcpy(host, start, host_len);
    host[host_len] = '\0';

    struct sockaddr_storage parsed = {0};
    if (bracketed) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1) {
            return ERR_INVALID;
        }
        memcpy(&parsed, &v6, sizeof(v6));
    } else {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        if (inet_pton(AF_INET, host, &v4.sin_addr) != 1) {
            return ERR_INVALID;
        }
        memcpy(&parsed, &v4, sizeof(v4));
    }
    *out = parsed;
    return ERR_OK;
}

void net_format_address(const struct sockaddr_storage *address, char *text)
{
    char host[NET_ADDRESS_SIZE];
    net_format_host(address, host);
    /* The port is at the same place in both kinds of address. */
    struct sockaddr_in v4;
    memcpy(&v4, address, sizeof(v4));
    bool is_v6 = address->ss_family == AF_INET6;
    (void)snprintf(text,
                   NET_ADDRESS_SIZE,
                   "%s%.46s%s:%u",
                   is_v6 ? "[" : "",
                   host,
                   is_v6 ? "]" : "",
                   ntohs(v4.sin_port));
}

void net_format_host(const struct sockaddr_storage *address, char *text)
{
    text[0] = '\0';
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, text, NET_ADDRESS_SIZE);
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, text, NET_ADDRESS_SIZE);
    }
}

void net_mark_dirty(struct net *net, struct stream *stream)
{
    if (!stream->is_dirty) {
        stream->is_dirty = true;
        stream->dirty_next = net->dirty;
        net->dirty = stream;
    }
}

void net_unmark_dirty(struct net *net, struct stream *stream)
{
    if (!stream->is_dirty) {
        return;
    }
    struct stream **link = &net->dirty;
    while (*link != stream) {
        CHECK(*link != NULL);
        link = &(*link)->dirty_next;
    }
    *link = stream->dirty_next;
    stream->is_dirty = false;
}

static void net_on_closed(uv_handle_t *handle)
{
    struct net *net = handle->data;
    net->handles_open--;
    if (net->handles_open == 0) {
        h2_pool_free(net->h2_pool);
        mem_free(net->refusals);
        mem_free(net);
    }
}

static bool net_is_listening(int file)
{
    int listening = 0;
    socklen_t len = sizeof(listening);
    return getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0;
}
