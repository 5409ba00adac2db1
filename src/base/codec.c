/* SPDX-License-Identifier: Apache-2.0 */
/* The codec declared in base/buf.h: fixed-width little-endian integers and byte strings with a
 * 32-bit length. Every read is checked against the end of the input; the first failure sticks, and
 * from then on reads give zeros and move nothing. */
#include "base/buf.h"
#include "base/check.h"

#include <endian.h>
#include <string.h>

static const uint8_t *take(struct reader *reader, size_t len);

void buf_put_u8(struct buf *buf, uint8_t value)
{
    buf_append(buf, &value, sizeof(value));
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
    uint32_t little = htole32(value);
    buf_append(buf, &little, sizeof(little));
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
    uint64_t little = htole64(value);
    buf_append(buf, &little, sizeof(little));
}

void buf_put_bytes(struct buf *buf, struct slice bytes)
{
    CHECK(bytes.len <= UINT32_MAX);
    buf_reserve(buf, sizeof(uint32_t) + bytes.len);
    buf_put_u32(buf, (uint32_t)bytes.len);
    buf_append(buf, bytes.data, bytes.len);
}

void buf_put_string(struct buf *buf, const char *string)
{
    buf_put_bytes(buf, slice_of_string(string));
}

struct reader reader_of(struct slice bytes)
{
    return (struct reader){.data = bytes.data, .len = bytes.len};
}

uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *bytes = take(reader, sizeof(uint8_t));
    return bytes == NULL ? 0 : *bytes;
}

uint32_t reader_u32(struct reader *reader)
{
    uint32_t little = 0;
    const uint8_t *bytes = take(reader, sizeof(little));
    if (bytes != NULL) {
        memcpy(&little, bytes, sizeof(little));
    }
    return le32toh(little);
}

uint64_t reader_u64(struct reader *reader)
{
    uint64_t little = 0;
    const uint8_t *bytes = take(reader, sizeof(little));
    if (bytes != NULL) {
        memcpy(&little, bytes, sizeof(little));
    }
    return le64toh(little);
}

struct slice reader_bytes(struct reader *reader)
{
    size_t len = reader_u32(reader);
    if (reader->failed || len == 0) {
        return (struct slice){0};
    }
    const uint8_t *bytes = take(reader, len);
    return slice_of(bytes, bytes == NULL ? 0 : len);
}

void reader_string(struct reader *reader, char *text, size_t size)
{
    CHECK(size > 0);
    text[0] = '\0';
    struct slice bytes = reader_bytes(reader);
    if (reader->failed || bytes.len == 0) {
        return;
    }
    if (bytes.len >= size || memchr(bytes.data, '\0', bytes.len) != NULL) {
        reader_fail(reader);
        return;
    }
    memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
}

void reader_fail(struct reader *reader)
{
    reader->failed = true;
}

enum error reader_finish(const struct reader *reader)
{
    return reader->failed || reader->offset != reader->len ? ERR_CORRUPT : ERR_OK;
}

static const uint8_t *take(struct reader *reader, size_t len)
{
    CHECK(reader->offset <= reader->len);
    if (reader->failed || reader->len - reader->offset < len) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->data + reader->offset;
    reader->offset += len;
    return bytes;
}
