/* SPDX-License-Identifier: Apache-2.0 */
/* How long a message to a peer and its answer take, over the lane of the heartbeats: what timers
 * have to be longer than. Every member measures the others and tells them its longest, so that a
 * leader knows what its successors will see; and whether it had rather not be one of them. */
#include "peers/peers_internal.h"

#include "base/check.h"

enum {
    PING_MS = 500,
    SMOOTHING = 8, /* a new sample counts for an eighth */
    RTT_US_MAX = 60 * 1000 * 1000,
    NS_PER_MS = 1000 * 1000,
};

static uint32_t longest_own(const struct peers *peers);
static void ping(struct peers *peers, struct peer_link *link);

void peers_tick(struct peers *peers, uint64_t now_ms)
{
    peer_inbound_tick(peers, now_ms);
    peer_strangers_tick(peers, now_ms);
    if (now_ms < peers->ping_due_ms) {
        return;
    }
    peers->ping_due_ms = now_ms + PING_MS;
    for (uint32_t i = 0; i < peers->count; i++) {
        struct peer_link *link = &peers->items[i]->links[WIRE_LANE_HEARTBEAT - 1];
        if (link->open && link->answers_pings) {
            ping(peers, link);
        }
    }
}

uint32_t peers_rtt_us(const struct peers *peers, struct member_id id)
{
    const struct peer *peer = peers_find(peers, id);
    return peer == NULL ? 0 : peer->rtt_us;
}

uint32_t peers_rtt_longest_us(const struct peers *peers)
{
    uint32_t longest = longest_own(peers);
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = peers->items[i];
        if (peer->listed && peer->rtt_told_us > longest) {
            longest = peer->rtt_told_us;
        }
    }
    return longest;
}

void peers_set_reluctant(struct peers *peers, bool reluctant)
{
    if (peers->reluctant != reluctant) {
        peers->reluctant = reluctant;
        peers->ping_due_ms = 0;
    }
}

bool peers_is_reluctant(const struct peers *peers, struct member_id id)
{
    const struct peer *peer = peers_find(peers, id);
    return peer != NULL && peer->reluctant;
}

void peer_ping_link_ended(struct peer *peer)
{
    peer->rtt_us = 0;
    peer->rtt_window = (struct rtt_window){0};
}

void peer_ping_inbound_ended(struct peer *peer)
{
    peer->rtt_told_us = 0;
    peer->reluctant = false;
}

enum error peer_ping_answer(struct peer_inbound *inbound, struct slice payload)
{
    struct reader reader = reader_of(payload);
    uint64_t stamp = reader_u64(&reader);
    uint32_t longest = reader_u32(&reader);
    bool reluctant = reader_u8(&reader) != 0;
    TRY(reader_finish(&reader));
    CHECK(inbound->peer != NULL);
    inbound->peer->rtt_told_us = longest < RTT_US_MAX ? longest : RTT_US_MAX;
    inbound->peer->reluctant = reluctant;
    struct buf bytes = {0};
    buf_put_u64(&bytes, stamp);
    enum error error = peers_write(inbound->peers, inbound->conn, PEER_FRAME_PONG, &bytes);
    buf_deinit(&bytes);
    return error;
}

/* Nothing is believed of a stamp but its age. */
enum error peer_ping_take(struct peer_link *link, struct slice payload)
{
    struct reader reader = reader_of(payload);
    uint64_t stamp = reader_u64(&reader);
    TRY(reader_finish(&reader));
    const struct peers_options *options = &link->peer->peers->options;
    uint64_t now = options->io->now_ns(options->io_ctx);
    if (stamp > now) {
        return ERR_PROTOCOL;
    }
    uint64_t sample_us = (now - stamp) / 1000;
    uint32_t sample = sample_us < RTT_US_MAX ? (uint32_t)sample_us : RTT_US_MAX;
    struct peer *peer = link->peer;
    if (peer->rtt_us == 0) {
        peer->rtt_us = sample == 0 ? 1 : sample;
    } else {
        int64_t step = ((int64_t)sample - (int64_t)peer->rtt_us) / SMOOTHING;
        peer->rtt_us = (uint32_t)((int64_t)peer->rtt_us + step);
    }
    rtt_window_add(&peer->rtt_window, sample, now / NS_PER_MS);
    return ERR_OK;
}

static uint32_t longest_own(const struct peers *peers)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < peers->count; i++) {
        uint32_t least_us = rtt_window_least_us(&peers->items[i]->rtt_window);
        if (peers->items[i]->listed && least_us > longest) {
            longest = least_us;
        }
    }
    return longest;
}

/* One that is lost with its connection is just no sample. */
static void ping(struct peers *peers, struct peer_link *link)
{
    buf_clear(&peers->scratch);
    buf_put_u64(&peers->scratch, peers->options.io->now_ns(peers->options.io_ctx));
    buf_put_u32(&peers->scratch, longest_own(peers));
    buf_put_u8(&peers->scratch, peers->reluctant ? 1 : 0);
    if (peers_write(peers, link->conn, PEER_FRAME_PING, &peers->scratch) != ERR_OK) {
        link->peer->dropped++;
    }
}
