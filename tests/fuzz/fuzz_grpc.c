/* SPDX-License-Identifier: Apache-2.0 */
/* The small parsers of the wire: gRPC's messages and metadata, the frames between members. What
 * comes in pieces means what it means in one. The first byte says how long the pieces are. */
#include "base/check.h"
#include "base/hash.h"
#include "rpc/frame.h"
#include "rpc/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BYTES_MAX = 1024
};

/* What was delivered, as a number. */
struct heard {
    uint64_t hash;
    uint64_t count;
};

static bool on_message(struct slice message, void *ctx)
{
    struct heard *heard = ctx;
    CHECK(message.len <= BYTES_MAX);
    heard->hash = hash_xxh3(message.data, message.len, heard->hash + 1);
    heard->count++;
    return true;
}

static bool on_frame(uint8_t type, struct slice payload, void *ctx)
{
    struct heard *heard = ctx;
    heard->hash += type;
    return on_message(payload, ctx);
}

static struct heard deframe(struct slice bytes, size_t piece)
{
    struct grpc_deframer deframer = {.message_bytes_max = BYTES_MAX};
    struct heard heard = {0};
    enum error error = ERR_OK;
    for (size_t at = 0; at < bytes.len && error == ERR_OK; at += piece) {
        size_t len = piece < bytes.len - at ? piece : bytes.len - at;
        error = grpc_deframer_feed(&deframer, slice_of(bytes.data + at, len), on_message, &heard);
    }
    heard.hash += (uint64_t)error;
    grpc_deframer_deinit(&deframer);
    return heard;
}

static struct heard read_frames(struct slice bytes, size_t piece)
{
    struct frame_reader reader = {.payload_bytes_max = BYTES_MAX};
    struct heard heard = {0};
    enum error error = ERR_OK;
    for (size_t at = 0; at < bytes.len && error == ERR_OK; at += piece) {
        size_t len = piece < bytes.len - at ? piece : bytes.len - at;
        error = frame_reader_feed(&reader, slice_of(bytes.data + at, len), on_frame, &heard);
    }
    heard.hash += (uint64_t)error;
    frame_reader_deinit(&reader);
    return heard;
}

static void try_texts(struct slice bytes)
{
    uint64_t timeout_ms;
    if (grpc_timeout_parse(bytes, &timeout_ms) == ERR_OK) {
        CHECK(timeout_ms >= 1);
    }
    struct buf plain = {0};
    struct buf coded = {0};
    struct buf again = {0};
    grpc_percent_encode(bytes, &coded);
    grpc_percent_decode(buf_view(&coded), &plain);
    CHECK(slice_equal(buf_view(&plain), bytes));
    buf_clear(&coded);
    grpc_base64_encode(bytes, &coded);
    CHECK(grpc_base64_decode(buf_view(&coded), &again) == ERR_OK);
    CHECK(slice_equal(buf_view(&again), bytes));
    buf_clear(&again);
    enum error error = grpc_base64_decode(bytes, &again);
    CHECK(error == ERR_OK || error == ERR_INVALID);
    char text[64];
    (void)grpc_status_details_find(bytes, NULL, text, sizeof(text));
    (void)grpc_status_details_find(bytes, "leader", text, sizeof(text));
    buf_deinit(&plain);
    buf_deinit(&coded);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t piece = 1 + data[0] % 16;
    struct slice bytes = slice_of(data + 1, size - 1);
    struct heard whole = deframe(bytes, size);
    struct heard pieces = deframe(bytes, piece);
    CHECK(whole.hash == pieces.hash && whole.count == pieces.count);
    whole = read_frames(bytes, size);
    pieces = read_frames(bytes, piece);
    CHECK(whole.hash == pieces.hash && whole.count == pieces.count);
    try_texts(bytes);
    return 0;
}
