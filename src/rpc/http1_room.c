/* SPDX-License-Identifier: Apache-2.0 */
/* Who gives way when there are too many connections, of all or of one address. */
#include "rpc/http1_internal.h"
#include "rpc/net_internal.h"

static enum http1_claim claim_of(const struct http1_exchange *exchange, uint64_t now_ms);

void http1_enter(struct http1_exchange *exchange)
{
    struct http1 *http1 = exchange->http1;
    exchange->previous = NULL;
    exchange->next = http1->connections;
    if (http1->connections != NULL) {
        http1->connections->previous = exchange;
    } else {
        http1->last = exchange;
    }
    http1->connections = exchange;
}

void http1_leave(struct http1_exchange *exchange)
{
    struct http1 *http1 = exchange->http1;
    if (exchange->previous != NULL) {
        exchange->previous->next = exchange->next;
    } else {
        http1->connections = exchange->next;
    }
    if (exchange->next != NULL) {
        exchange->next->previous = exchange->previous;
    } else {
        http1->last = exchange->previous;
    }
}

/* Of those whose answer is not ours to give, the one that is least likely to have asked for one; of
 * equals, the one that has done nothing for longest. That one is nearly always the last: whoever
 * connects without end is not to cost a walk through all of them each time. */
void http1_make_room(struct http1 *http1, const struct stream *newcomer, bool of_its_source)
{
    struct http1_exchange *least = NULL;
    enum http1_claim least_claim = HTTP1_CLAIM_ASKED;
    uint64_t now_ms = uv_now(net_loop(http1->net));
    for (struct http1_exchange *one = http1->last; one != NULL; one = one->previous) {
        bool ours = one->is_waiting || one->stream == newcomer ||
                    (of_its_source && stream_source(one->stream) != stream_source(newcomer));
        if (ours || !stream_is_open(one->stream)) {
            continue;
        }
        enum http1_claim claim = claim_of(one, now_ms);
        if (least == NULL || claim < least_claim) {
            least = one;
            least_claim = claim;
        }
        if (least_claim == HTTP1_CLAIM_NONE) {
            break;
        }
    }
    if (least != NULL) {
        stream_refused(least->stream, NET_REFUSED_IDLE);
        stream_close(least->stream);
        /* It is gone when the loop gets to it, and in nobody's way until then. */
        http1_leave(least);
        http1_enter(least);
    }
}

static enum http1_claim claim_of(const struct http1_exchange *exchange, uint64_t now_ms)
{
    return http1_claim_by(&(struct http1_standing){
        .asked = exchange->is_in_turn,
        .answered = exchange->answered,
        .quiet_ms = now_ms - exchange->since_ms,
        .of_its_source = stream_source_connections(exchange->stream),
    });
}

enum http1_claim http1_claim_by(const struct http1_standing *standing)
{
    bool young = !standing->answered && standing->quiet_ms < HTTP1_GRACE_MS;
    if (!standing->asked && !young) {
        return HTTP1_CLAIM_NONE;
    }
    if (standing->of_its_source > HTTP1_SOURCE_FEW) {
        return HTTP1_CLAIM_OF_MANY;
    }
    return standing->asked ? HTTP1_CLAIM_ASKED : HTTP1_CLAIM_YOUNG;
}
