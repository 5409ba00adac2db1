/* SPDX-License-Identifier: Apache-2.0 */
/* Who the connections of a listener come from, and which of those that have not shaken hands gives
 * way when there are too many. A bound alone would serve whoever fills it: so it is the oldest of
 * the source that has most, one that has said nothing before one that has. Sources that the owner
 * knows (members) are counted apart, so that strangers cannot push them out. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/net_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
    V6_PREFIX_BYTES = 8 /* whoever has one address there has all of its /64 */
};

static void address_bytes(const struct sockaddr_storage *address, uint8_t *bytes);
static struct stream_source **bucket_of(struct stream_listener *listener, const uint8_t *bytes);
static struct stream_source *heaviest(const struct stream_listener *listener, bool is_known);
static void unlink_half_open(struct stream *stream);
static bool give_way(struct stream_listener *listener,
                     const struct stream_source *source,
                     const struct stream *newcomer,
                     enum net_refusal cause);

void stream_source_enter(struct stream *stream, const struct sockaddr_storage *address)
{
    struct stream_listener *listener = stream->listener;
    uint8_t bytes[STREAM_SOURCE_BYTES];
    address_bytes(address, bytes);
    struct stream_source **bucket = bucket_of(listener, bytes);
    struct stream_source *source = *bucket;
    while (source != NULL && memcmp(source->address, bytes, sizeof(bytes)) != 0) {
        source = source->next;
    }
    if (source == NULL) {
        source = mem_new(sizeof(*source));
        memcpy(source->address, bytes, sizeof(bytes));
        net_format_host(address, source->host);
        source->is_known = listener->options.knows_source != NULL &&
                           listener->options.knows_source(source->host, listener->acceptor.ctx);
        source->next = *bucket;
        *bucket = source;
    }
    stream->source = source;
    source->connections++;
    source->half_open++;
    listener->connections++;
    listener->half_open[source->is_known]++;
    stream->is_half_open = true;
    stream->half_previous = listener->half_last;
    if (listener->half_last != NULL) {
        listener->half_last->half_next = stream;
    } else {
        listener->half_first = stream;
    }
    listener->half_last = stream;
}

void stream_source_make_room(struct stream *stream)
{
    struct stream_listener *listener = stream->listener;
    const struct stream_source *source = stream->source;
    uint32_t max = listener->options.half_open_max;
    if (source->half_open > (max + 1) / 2) {
        (void)give_way(listener, source, stream, NET_REFUSED_SOURCE);
    } else if (listener->half_open[source->is_known] > max) {
        (void)give_way(
            listener, heaviest(listener, source->is_known), stream, NET_REFUSED_HALF_OPEN);
    }
}

void stream_source_opened(struct stream *stream)
{
    CHECK(stream->is_half_open);
    unlink_half_open(stream);
}

void stream_source_leave(struct stream *stream)
{
    struct stream_listener *listener = stream->listener;
    struct stream_source *source = stream->source;
    CHECK(listener->connections > 0 && source->connections > 0);
    if (stream->is_half_open) {
        unlink_half_open(stream);
    }
    listener->connections--;
    source->connections--;
    stream->source = NULL;
    stream->listener = NULL;
    if (source->connections == 0) {
        struct stream_source **link = bucket_of(listener, source->address);
        while (*link != source) {
            CHECK(*link != NULL);
            link = &(*link)->next;
        }
        *link = source->next;
        mem_free(source);
    }
}

void stream_refused(const struct stream *stream, enum net_refusal cause)
{
    char who[NET_DETAIL_SIZE];
    if (stream->listener != NULL) {
        (void)snprintf(
            who, sizeof(who), "port=%u from=%s", stream->listener->port, stream->source->host);
        net_refused(stream->net, cause, who);
    }
}

void stream_handshake_failed(const struct stream *stream, enum stream_reason reason)
{
    char who[NET_DETAIL_SIZE];
    if (reason != STREAM_TIMEOUT && reason != STREAM_TLS_FAILED && reason != STREAM_IDENTITY) {
        return; /* gone by itself, or by us */
    }
    const char *why = stream->tls == NULL ? "" : tls_session_errmsg(stream->tls);
    (void)snprintf(who,
                   sizeof(who),
                   "port=%u from=%s reason=%s why=%.120s",
                   stream->listener->port,
                   stream->source->host,
                   stream_reason_name(reason),
                   log_quote(why[0] == '\0' ? "-" : why));
    net_refused(stream->net, NET_REFUSED_HANDSHAKE, who);
}

const struct stream_source *stream_source(const struct stream *stream)
{
    return stream->source;
}

uint32_t stream_source_connections(const struct stream *stream)
{
    return stream->source == NULL ? 0 : stream->source->connections;
}

static void address_bytes(const struct sockaddr_storage *address, uint8_t *bytes)
{
    memset(bytes, 0, STREAM_SOURCE_BYTES);
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        memcpy(bytes, &v6.sin6_addr, V6_PREFIX_BYTES);
        bytes[STREAM_SOURCE_BYTES - 1] = 6;
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        memcpy(bytes, &v4.sin_addr, sizeof(v4.sin_addr));
        bytes[STREAM_SOURCE_BYTES - 1] = 4;
    }
}

static struct stream_source **bucket_of(struct stream_listener *listener, const uint8_t *bytes)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < STREAM_SOURCE_BYTES; i++) {
        sum = sum * 31 + bytes[i];
    }
    return &listener->sources[sum % STREAM_SOURCE_BUCKETS];
}

/* Of those known, or not. There is one: something is half open. */
static struct stream_source *heaviest(const struct stream_listener *listener, bool is_known)
{
    struct stream_source *most = NULL;
    for (uint32_t i = 0; i < STREAM_SOURCE_BUCKETS; i++) {
        for (struct stream_source *one = listener->sources[i]; one != NULL; one = one->next) {
            if (one->is_known == is_known && (most == NULL || one->half_open > most->half_open)) {
                most = one;
            }
        }
    }
    CHECK(most != NULL);
    return most;
}

static void unlink_half_open(struct stream *stream)
{
    struct stream_listener *listener = stream->listener;
    struct stream_source *source = stream->source;
    CHECK(source->half_open > 0 && listener->half_open[source->is_known] > 0);
    if (stream->half_previous != NULL) {
        stream->half_previous->half_next = stream->half_next;
    } else {
        listener->half_first = stream->half_next;
    }
    if (stream->half_next != NULL) {
        stream->half_next->half_previous = stream->half_previous;
    } else {
        listener->half_last = stream->half_previous;
    }
    stream->half_next = NULL;
    stream->half_previous = NULL;
    stream->is_half_open = false;
    source->half_open--;
    listener->half_open[source->is_known]--;
}

static bool give_way(struct stream_listener *listener,
                     const struct stream_source *source,
                     const struct stream *newcomer,
                     enum net_refusal cause)
{
    struct stream *victim = NULL;
    for (struct stream *one = listener->half_first; one != NULL; one = one->half_next) {
        if (one->source != source || one == newcomer) {
            continue;
        }
        if (!one->has_spoken) {
            victim = one;
            break;
        }
        victim = victim == NULL ? one : victim;
    }
    if (victim == NULL) {
        return false;
    }
    stream_refused(victim, cause);
    stream_close_as(victim, STREAM_FAILED, "others came, and it had not shaken hands");
    return true;
}
