/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the peer port: u32 little-endian length of the payload, u8 type, payload. The meaning
 * of types is the owner's. */
#ifndef INDABA_RPC_FRAME_H
#define INDABA_RPC_FRAME_H

#include "rpc/stream.h"

enum {
    FRAME_HEADER_SIZE = 5,
    FRAME_PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
};

/* Returns false to stop reading (the stream was closed): the rest of the input is dropped. The
 * payload is valid during the call. */
typedef bool (*frame_fn)(uint8_t type, struct slice payload, void *ctx);

/* Puts a frame together from the pieces that arrive. Zero is a valid empty reader; it holds memory
 * only while a frame is incomplete. */
struct frame_reader {
    struct buf partial;
    uint32_t payload_bytes_max; /* 0: FRAME_PAYLOAD_BYTES_MAX; may be changed by on_frame */
};

void frame_reader_deinit(struct frame_reader *reader);
/* Calls `on_frame` for each complete frame. ERR_LIMIT for a length above the bound (close the
 * stream); ERR_CANCELLED when on_frame returned false. `reader` may have been freed by then, and is
 * not touched after on_frame returned false. */
MUST_CHECK enum error
frame_reader_feed(struct frame_reader *reader, struct slice bytes, frame_fn on_frame, void *ctx);

/* Queues one frame whose payload is the concatenation of the parts (at most 7). Errors as
 * stream_write, and ERR_LIMIT for a payload above the bound. */
MUST_CHECK enum error
frame_write(struct stream *stream, uint8_t type, const struct slice *parts, size_t parts_count);

#endif
