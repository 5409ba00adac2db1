/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the peer port: see frame.h. A frame that arrives whole is handed out where it lies;
 * only one that arrives in pieces is put together in a buffer, which goes away with it. */
#include "rpc/frame.h"

#include "base/check.h"

#include <string.h>

enum {
    FRAME_PARTS_MAX = 7
};

static uint32_t frame_payload_len(const uint8_t *header);
static size_t frame_missing(const struct buf *partial);

void frame_reader_deinit(struct frame_reader *reader)
{
    buf_deinit(&reader->partial);
}

enum error
frame_reader_feed(struct frame_reader *reader, struct slice bytes, frame_fn on_frame, void *ctx)
{
    while (bytes.len > 0) {
        /* Each time: what a frame says may change it. */
        uint32_t bound =
            reader->payload_bytes_max == 0 ? FRAME_PAYLOAD_BYTES_MAX : reader->payload_bytes_max;
        if (reader->partial.len == 0 && bytes.len >= FRAME_HEADER_SIZE) {
            uint32_t len = frame_payload_len(bytes.data);
            if (len > bound) {
                return ERR_LIMIT;
            }
            size_t frame_len = (size_t)len + FRAME_HEADER_SIZE;
            if (bytes.len >= frame_len) {
                uint8_t type = bytes.data[4];
                struct slice payload = slice_of(bytes.data + FRAME_HEADER_SIZE, len);
                bytes = slice_of(bytes.data + frame_len, bytes.len - frame_len);
                if (!on_frame(type, payload, ctx)) {
                    return ERR_CANCELLED;
                }
                continue;
            }
        }
        size_t missing = frame_missing(&reader->partial);
        size_t take = missing < bytes.len ? missing : bytes.len;
        buf_append(&reader->partial, bytes.data, take);
        bytes = slice_of(bytes.data + take, bytes.len - take);
        if (reader->partial.len < FRAME_HEADER_SIZE) {
            continue;
        }
        if (frame_payload_len(reader->partial.data) > bound) {
            return ERR_LIMIT;
        }
        if (frame_missing(&reader->partial) == 0) {
            /* Out of the reader first: on_frame may free it. */
            struct buf whole = reader->partial;
            reader->partial = (struct buf){0};
            struct slice payload =
                slice_of(whole.data + FRAME_HEADER_SIZE, whole.len - FRAME_HEADER_SIZE);
            bool more = on_frame(whole.data[4], payload, ctx);
            buf_deinit(&whole);
            if (!more) {
                return ERR_CANCELLED;
            }
        }
    }
    return ERR_OK;
}

enum error
frame_write(struct stream *stream, uint8_t type, const struct slice *parts, size_t parts_count)
{
    CHECK(parts_count <= FRAME_PARTS_MAX);
    struct slice all[FRAME_PARTS_MAX + 1];
    size_t len = 0;
    for (size_t i = 0; i < parts_count; i++) {
        all[i + 1] = parts[i];
        len += parts[i].len;
    }
    if (len > FRAME_PAYLOAD_BYTES_MAX) {
        return ERR_LIMIT;
    }
    uint8_t header[FRAME_HEADER_SIZE] = {
        (uint8_t)len,
        (uint8_t)(len >> 8),
        (uint8_t)(len >> 16),
        (uint8_t)(len >> 24),
        type,
    };
    all[0] = slice_of(header, sizeof(header));
    return stream_write_parts(stream, all, parts_count + 1);
}

static uint32_t frame_payload_len(const uint8_t *header)
{
    return (uint32_t)header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 |
           (uint32_t)header[3] << 24;
}

/* Bytes until the header, or the frame, is complete. */
static size_t frame_missing(const struct buf *partial)
{
    if (partial->len < FRAME_HEADER_SIZE) {
        return FRAME_HEADER_SIZE - partial->len;
    }
    return (size_t)frame_payload_len(partial->data) + FRAME_HEADER_SIZE - partial->len;
}
