/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a loop's turn: see net_before_sleep. It runs in one prepare handle, right before the
 * loop sleeps. First those who gather what was asked of them bring it, stage by stage; then all
 * that the turn has written to one connection leaves in one system call. Either may give the other
 * something to do again, so it goes round until nobody has anything, or for a bounded while. */
#include "rpc/net.h"

#include "base/check.h"
#include "rpc/net_internal.h"

enum {
    NET_ROUNDS_MAX = 8,
    /* How often one turn may flush, so that a fast reader of an endless stream does not hold the
     * loop. */
    NET_FLUSHES_MAX = 4096
};

static bool run_stages(struct net *net);
static bool flush_streams(struct net *net, uint32_t *left);
static void on_idle(uv_idle_t *idle);

void net_before_sleep(struct net *net, enum net_stage stage, struct net_sleeper *sleeper)
{
    CHECK(stage < NET_STAGES && sleeper->bring != NULL);
    TAILQ_INSERT_TAIL(&net->sleepers[stage], sleeper, others);
    sleeper->stage = stage;
}

void net_before_sleep_no_more(struct net *net, struct net_sleeper *sleeper)
{
    TAILQ_REMOVE(&net->sleepers[sleeper->stage], sleeper, others);
}

void net_on_prepare(uv_prepare_t *prepare)
{
    struct net *net = prepare->data;
    uint32_t flushes_left = NET_FLUSHES_MAX;
    bool more = true;
    stream_parts_turn(net);
    net_refusals_tell(net);
    for (uint32_t round = 0; more && round < NET_ROUNDS_MAX; round++) {
        more = run_stages(net);
        more |= flush_streams(net, &flushes_left);
    }
    if (!more && net->dirty == NULL) {
        uv_idle_stop(&net->idle);
    } else {
        uv_idle_start(&net->idle, on_idle);
    }
}

/* True if anyone did anything: others may have something to bring now. */
static bool run_stages(struct net *net)
{
    bool any = false;
    for (uint32_t stage = 0; stage < NET_STAGES; stage++) {
        struct net_sleeper *next = NULL;
        for (struct net_sleeper *sleeper = TAILQ_FIRST(&net->sleepers[stage]); sleeper != NULL;
             sleeper = next) {
            next = TAILQ_NEXT(sleeper, others); /* it may end itself */
            any |= sleeper->bring(sleeper->ctx);
        }
    }
    return any;
}

/* A flush may make an owner write more, to this stream or another. */
static bool flush_streams(struct net *net, uint32_t *left)
{
    bool any = false;
    for (; net->dirty != NULL && *left > 0; (*left)--) {
        struct stream *stream = net->dirty;
        net->dirty = stream->dirty_next;
        stream->is_dirty = false;
        stream_flush(stream);
        any = true;
    }
    return any;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}
