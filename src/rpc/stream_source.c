/* SPDX-License-Identifier: Apache-2.0 */
/* Who the connections of a listener come from, and which of those that have not shaken hands gives
 * way when there are too many. A bound alone would serve whoever fills it: so it is one of the
 * sources that have most, one that has said nothing before one that has, the oldest of those if it
 * had time for a handshake from afar. If none had, chance decides: then a crowd makes it unlikely
 * that somebody far away gets in, but neither impossible nor a matter of his address. Sources that
 * the owner knows (members, and where sidecars and operators were last) are counted apart, so that
 * strangers cannot push them out. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/net_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
    V6_PREFIX_BYTES = 8, /* whoever has one address there has all of its /64 */
    ROUND_TRIPS_MS = 1000
};

static void address_bytes(const struct sockaddr_storage *address, uint8_t *bytes);
static struct stream_source **bucket_of(struct stream_listener *listener, const uint8_t *bytes);
static void
set_known(struct stream_listener *listener, struct stream_source *source, bool is_known);
static bool is_of_owner(const struct stream_listener *listener, const struct stream_source *source);
static void forget_oldest(struct stream_listener *listener);
static void free_source(struct stream_listener *listener, struct stream_source *source);
static uint32_t most_half_open(const struct stream_listener *listener, bool is_known);
static struct stream *oldest_of(const struct stream_listener *listener,
                                const struct stream_source *source,
                                const struct stream *newcomer);
static struct stream *
one_of_most(struct stream_listener *listener, bool is_known, const struct stream *newcomer);
static void unlink_half_open(struct stream *stream);
static void give_way(struct stream *victim, enum net_refusal cause);

void stream_sources_init(struct stream_listener *listener)
{
    TAILQ_INIT(&listener->remembered);
    prng_init(&listener->prng, uv_hrtime());
}

void stream_sources_deinit(struct stream_listener *listener)
{
    while (listener->remembered_count > 0) {
        forget_oldest(listener);
    }
}

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
        source->is_known = is_of_owner(listener, source);
        source->next = *bucket;
        *bucket = source;
    }
    stream->source = source;
    source->connections++;
    source->half_open++;
    listener->connections++;
    listener->half_open[source->is_known]++;
    stream->is_half_open = true;
    stream->half_since_ms = uv_now(stream->net->loop);
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
        give_way(oldest_of(listener, source, stream), NET_REFUSED_SOURCE);
    } else if (listener->half_open[source->is_known] > max) {
        give_way(one_of_most(listener, source->is_known, stream), NET_REFUSED_HALF_OPEN);
    }
}

void stream_remember_source(struct stream *stream)
{
    struct stream_listener *listener = stream->listener;
    struct stream_source *source = stream->source;
    if (listener == NULL) {
        return;
    }
    if (source->is_remembered) {
        TAILQ_REMOVE(&listener->remembered, source, others);
    } else {
        if (listener->remembered_count == STREAM_SOURCES_REMEMBERED_MAX) {
            forget_oldest(listener);
        }
        source->is_remembered = true;
        listener->remembered_count++;
        set_known(listener, source, true);
    }
    TAILQ_INSERT_TAIL(&listener->remembered, source, others);
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
    if (source->connections == 0 && !source->is_remembered) {
        free_source(listener, source);
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

static void set_known(struct stream_listener *listener, struct stream_source *source, bool is_known)
{
    listener->half_open[source->is_known] -= source->half_open;
    source->is_known = is_known;
    listener->half_open[source->is_known] += source->half_open;
}

static bool is_of_owner(const struct stream_listener *listener, const struct stream_source *source)
{
    return listener->options.knows_source != NULL &&
           listener->options.knows_source(source->host, listener->acceptor.ctx);
}

/* There is one. */
static void forget_oldest(struct stream_listener *listener)
{
    struct stream_source *source = TAILQ_FIRST(&listener->remembered);
    TAILQ_REMOVE(&listener->remembered, source, others);
    listener->remembered_count--;
    source->is_remembered = false;
    if (source->connections == 0) {
        free_source(listener, source);
    } else {
        set_known(listener, source, is_of_owner(listener, source));
    }
}

static void free_source(struct stream_listener *listener, struct stream_source *source)
{
    struct stream_source **link = bucket_of(listener, source->address);
    while (*link != source) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = source->next;
    mem_free(source);
}

/* How many one source has, of those known, or of the others. */
static uint32_t most_half_open(const struct stream_listener *listener, bool is_known)
{
    uint32_t most = 0;
    for (const struct stream *one = listener->half_first; one != NULL; one = one->half_next) {
        const struct stream_source *source = one->source;
        if (source->is_known == is_known && source->half_open > most) {
            most = source->half_open;
        }
    }
    return most;
}

/* NULL: there is no other than the newcomer. */
static struct stream *oldest_of(const struct stream_listener *listener,
                                const struct stream_source *source,
                                const struct stream *newcomer)
{
    struct stream *oldest = NULL;
    for (struct stream *one = listener->half_first; one != NULL; one = one->half_next) {
        if (one->source != source || one == newcomer) {
            continue;
        }
        if (!one->has_spoken) {
            return one;
        }
        oldest = oldest == NULL ? one : oldest;
    }
    return oldest;
}

/* Of the sources that have most: see above. NULL: there is no other than the newcomer. */
static struct stream *
one_of_most(struct stream_listener *listener, bool is_known, const struct stream *newcomer)
{
    uint32_t most = most_half_open(listener, is_known);
    uint64_t now_ms = uv_now(listener->net->loop);
    struct stream *chosen = NULL;
    struct stream *oldest = NULL; /* of those like it */
    uint32_t alike = 0;
    for (struct stream *one = listener->half_first; one != NULL; one = one->half_next) {
        if (one->source->is_known != is_known || one->source->half_open != most ||
            one == newcomer || (chosen != NULL && !chosen->has_spoken && one->has_spoken)) {
            continue;
        }
        bool is_better = chosen == NULL || (chosen->has_spoken && !one->has_spoken);
        alike = is_better ? 1 : alike + 1;
        oldest = is_better ? one : oldest;
        if (is_better || prng_below(&listener->prng, alike) == 0) {
            chosen = one;
        }
    }
    bool had_time = oldest != NULL && now_ms - oldest->half_since_ms >= ROUND_TRIPS_MS;
    return had_time ? oldest : chosen;
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

static void give_way(struct stream *victim, enum net_refusal cause)
{
    if (victim != NULL) {
        stream_refused(victim, cause);
        stream_close_as(victim, STREAM_FAILED, "others came, and it had not shaken hands");
    }
}
