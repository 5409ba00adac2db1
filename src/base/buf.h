/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes: borrowed (slice), owned and growable (buf), shared and immutable (blob), and the bounded
 * little-endian codec (writer and reader functions) in which table rows, ledger leaves and log
 * records are written. Integers are fixed width; byte strings carry a 32-bit length. */
#ifndef INDABA_BASE_BUF_H
#define INDABA_BASE_BUF_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; whoever hands one out says for how long it holds. */
struct slice {
    const uint8_t *data;
    size_t len;
};

struct slice slice_of(const void *data, size_t len);
struct slice slice_of_string(const char *string);
bool slice_equal(struct slice a, struct slice b);
/* Like memcmp, the shorter one first on a tie. */
int slice_compare(struct slice a, struct slice b);

/* Owned bytes that grow. Zero is a valid empty buf. */
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf);
void buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_string(struct buf *buf, const char *string);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);
/* Removes the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);
struct slice buf_view(const struct buf *buf);

/* The codec: append to a buf … */
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_bytes(struct buf *buf, struct slice bytes);
void buf_put_string(struct buf *buf, const char *string);

/* … and read it back. The first failure sticks: later reads give zeros, and reader_finish tells.
 * So a decoder reads all fields straight and asks once at the end. */
struct reader {
    const uint8_t *data;
    size_t len;
    size_t offset;
    bool failed;
};

struct reader reader_of(struct slice bytes);
uint8_t reader_u8(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
/* Borrowed from the input. */
struct slice reader_bytes(struct reader *reader);
/* Copies a string into `text` of `size` bytes with a NUL; fails if it does not fit or has a NUL. */
void reader_string(struct reader *reader, char *text, size_t size);
/* Marks the reader failed; for decoders that find a value out of range. */
void reader_fail(struct reader *reader);
/* ERR_CORRUPT if a read went past the end or failed, or if bytes are left over. */
MUST_CHECK enum error reader_finish(const struct reader *reader);

/* Immutable bytes with an atomic reference count, shared between threads. */
struct blob {
    _Atomic uint32_t refs;
    uint32_t len;
    uint8_t data[];
};

/* One reference, owned by the caller. */
struct blob *blob_new(struct slice bytes);
/* Adds a reference; returns its argument. */
struct blob *blob_ref(struct blob *blob);
/* NULL is allowed. */
void blob_unref(struct blob *blob);
struct slice blob_view(const struct blob *blob);

#endif
