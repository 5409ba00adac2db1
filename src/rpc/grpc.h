/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of gRPC over HTTP/2 that need no connection: status codes, timeouts, the escaping of
 * status messages, base64 of binary metadata, message frames, and google.rpc.Status as bytes.
 * Pure. */
#ifndef INDABA_RPC_GRPC_H
#define INDABA_RPC_GRPC_H

#include "base/buf.h"

/* Numbers are gRPC's. */
/* clang-format off */
#define GRPC_STATUS_TABLE(X)                                                                       \
    X(GRPC_OK, 0, "OK")                                                                            \
    X(GRPC_CANCELLED, 1, "CANCELLED")                                                              \
    X(GRPC_UNKNOWN, 2, "UNKNOWN")                                                                  \
    X(GRPC_INVALID_ARGUMENT, 3, "INVALID_ARGUMENT")                                                \
    X(GRPC_DEADLINE_EXCEEDED, 4, "DEADLINE_EXCEEDED")                                              \
    X(GRPC_NOT_FOUND, 5, "NOT_FOUND")                                                              \
    X(GRPC_ALREADY_EXISTS, 6, "ALREADY_EXISTS")                                                    \
    X(GRPC_PERMISSION_DENIED, 7, "PERMISSION_DENIED")                                              \
    X(GRPC_RESOURCE_EXHAUSTED, 8, "RESOURCE_EXHAUSTED")                                            \
    X(GRPC_FAILED_PRECONDITION, 9, "FAILED_PRECONDITION")                                          \
    X(GRPC_ABORTED, 10, "ABORTED")                                                                 \
    X(GRPC_OUT_OF_RANGE, 11, "OUT_OF_RANGE")                                                       \
    X(GRPC_UNIMPLEMENTED, 12, "UNIMPLEMENTED")                                                     \
    X(GRPC_INTERNAL, 13, "INTERNAL")                                                               \
    X(GRPC_UNAVAILABLE, 14, "UNAVAILABLE")                                                         \
    X(GRPC_DATA_LOSS, 15, "DATA_LOSS")                                                             \
    X(GRPC_UNAUTHENTICATED, 16, "UNAUTHENTICATED")

/* clang-format on */

enum grpc_status {
#define X(name, number, text) name = (number),
    GRPC_STATUS_TABLE(X)
#undef X
};

enum {
    GRPC_MESSAGE_BYTES_MAX = 4 * 1024 * 1024,
    GRPC_PREFIX_SIZE = 5
};

/* "UNAVAILABLE"; "UNKNOWN" for numbers outside the table. */
const char *grpc_status_name(enum grpc_status status);
/* Any number outside 0 to 16 is UNKNOWN. */
enum grpc_status grpc_status_from_number(uint64_t number);
/* How we answer with one of our own errors, and how we read an answer. */
enum grpc_status grpc_status_from_error(enum error error);
/* A reply without gRPC trailers: what its HTTP status means. */
enum grpc_status grpc_status_from_http(uint32_t http_status);

/* "100m" (1 to 8 digits and one of HMSmun) to milliseconds, rounded up, at least 1. ERR_INVALID. */
MUST_CHECK enum error grpc_timeout_parse(struct slice text, uint64_t *timeout_ms_out);

enum {
    GRPC_TIMEOUT_TEXT_SIZE = 16
};

char *grpc_timeout_format(uint64_t timeout_ms, char *text);

/* Percent-encoding of grpc-message. Encoding appends; text that is not UTF-8 is sent byte by byte.
 */
void grpc_percent_encode(struct slice text, struct buf *out);
void grpc_percent_decode(struct slice text, struct buf *out);

/* Base64 of "-bin" metadata: written unpadded, read with or without padding. */
void grpc_base64_encode(struct slice bytes, struct buf *out);
MUST_CHECK enum error grpc_base64_decode(struct slice text, struct buf *out);

/* The five bytes before a message. */
void grpc_prefix_put(uint8_t *prefix, uint32_t message_len);

/* Puts messages together from DATA. Zero is a valid empty deframer. */
struct grpc_deframer {
    struct buf partial;
    uint32_t message_bytes_max; /* 0: GRPC_MESSAGE_BYTES_MAX */
};

/* Returns false to stop: the deframer may be gone and is not touched again. */
typedef bool (*grpc_message_fn)(struct slice message, void *ctx);

void grpc_deframer_deinit(struct grpc_deframer *deframer);
/* True while a message has begun and not ended. */
bool grpc_deframer_is_partial(const struct grpc_deframer *deframer);
/* ERR_LIMIT: message too long. ERR_PROTOCOL: compressed flag without an encoding agreed.
 * ERR_CANCELLED: on_message returned false. */
MUST_CHECK enum error grpc_deframer_feed(struct grpc_deframer *deframer,
                                         struct slice bytes,
                                         grpc_message_fn on_message,
                                         void *ctx);

/* Appends a google.rpc.Status {code, message, details: [ErrorInfo]} as protobuf bytes, for
 * `details` of server_call_finish. `metadata` is `pairs_count` pairs of key and value. */
struct grpc_error_info {
    const char *reason; /* "NOT_LEADER" */
    const char *domain; /* "indaba" */
    const char *const *metadata;
    size_t pairs_count;
};

void grpc_status_details_put(struct buf *out,
                             enum grpc_status status,
                             const char *message,
                             const struct grpc_error_info *info);
/* Finds in such bytes the value of an ErrorInfo's metadata key, or with key NULL its reason. Copies
 * at most size - 1 bytes and a NUL. ERR_NOT_FOUND. */
MUST_CHECK enum error
grpc_status_details_find(struct slice details, const char *key, char *text, size_t size);

#endif
