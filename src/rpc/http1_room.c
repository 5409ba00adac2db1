/* SPDX-License-Identifier: Apache-2.0 */
/* Who gives way when there are too many connections, of all or of one address. */
#include "rpc/http1_internal.h"
#include "rpc/net_internal.h"

static enum http1_claim claim_of(const struct http1_exchange *exchange, uint64_t now_ms);

/* Of those whose answer is not ours to give, the one that is least likely to have asked for one; of
 * equals, the one that has done nothing for longest. */
void http1_make_room(struct http1 *http1, const struct stream *newcomer, bool of_its_source)
{
    struct http1_exchange *least = NULL;
    uint64_t now_ms = uv_now(net_loop(http1->net));
    for (struct http1_exchange *one = http1->connections; one != NULL; one = one->next) {
        bool ours = one->is_waiting || one->stream == newcomer ||
                    (of_its_source && stream_source(one->stream) != stream_source(newcomer));
        if (ours || !stream_is_open(one->stream)) {
            continue;
        }
        enum http1_claim claim = claim_of(one, now_ms);
        /* The newest is first: of those of one turn of the loop the eldest gives way. */
        if (least == NULL || claim < claim_of(least, now_ms) ||
            (claim == claim_of(least, now_ms) && one->since_ms <= least->since_ms)) {
            least = one;
        }
    }
    if (least != NULL) {
        stream_refused(least->stream, NET_REFUSED_IDLE);
        stream_close(least->stream);
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
