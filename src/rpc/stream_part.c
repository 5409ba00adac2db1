/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a turn of the loop those have who send. libuv reads one socket many times before it
 * looks at the next, and the kernel tells of those first that were first before: whoever sends
 * without end would keep all others waiting. So what a listener's connections send is read in
 * rounds. In each round one has one part; who had it, or finds the turn's time used up, is left
 * unread: the kernel tells of it again. A round ends with the first turn that leaves out nobody. */
#include "rpc/net_internal.h"

static uint64_t part_now(const struct stream *stream);

void stream_prefer(struct stream *stream)
{
    stream->is_preferred = true;
}

bool stream_may_read(struct stream *stream)
{
    struct stream_listener *listener = stream->listener;
    if (listener == NULL) {
        return true;
    }
    if (stream->state == STREAM_STATE_HANDSHAKE) {
        return stream->is_urgent || stream->net->handshakes_ns < NET_HANDSHAKES_NS;
    }
    if (!stream->has_parts) {
        return true;
    }
    if (stream->part == part_now(stream) && stream->part_ns >= NET_PART_NS) {
        return false;
    }
    if (stream->is_preferred || listener->parts_ns < NET_PARTS_NS) {
        return true;
    }
    listener->has_left_out = true;
    return false;
}

size_t stream_read_bytes(const struct stream *stream)
{
    return stream->has_parts ? NET_PART_BYTES : NET_READ_BYTES;
}

void stream_has_read(struct stream *stream, bool is_open, uint64_t ns)
{
    struct stream_listener *listener = stream->listener;
    if (!is_open) {
        stream->net->handshakes_ns += ns;
    } else if (stream->has_parts && listener != NULL) {
        uint64_t now = part_now(stream);
        stream->part_ns = stream->part == now ? stream->part_ns + ns : ns;
        stream->part = now;
        listener->parts_ns += stream->is_preferred ? 0 : ns;
    }
}

void stream_parts_turn(struct net *net)
{
    net->turn++;
    net->handshakes_ns = 0;
    for (struct stream_listener *listener = net->listeners; listener != NULL;
         listener = listener->next) {
        listener->round += listener->has_left_out ? 0 : 1;
        listener->has_left_out = false;
        listener->parts_ns = 0;
    }
}

static uint64_t part_now(const struct stream *stream)
{
    return stream->is_preferred ? stream->net->turn : stream->listener->round;
}
