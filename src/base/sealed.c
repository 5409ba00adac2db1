/* SPDX-License-Identifier: Apache-2.0 */
/* See sealed.h. */
#include "base/sealed.h"

#include "base/check.h"
#include "base/hash.h"

enum {
    CHECKSUM_SIZE = 8,
};

void sealed_begin(const struct sealed_format *format, struct buf *out)
{
    CHECK(out->len == 0);
    CHECK(format->magic_size == 4 || format->magic_size == 8);
    if (format->magic_size == 4) {
        buf_put_u32(out, (uint32_t)format->magic);
    } else {
        buf_put_u64(out, format->magic);
    }
    buf_put_u32(out, format->newest);
}

void sealed_end(const struct sealed_format *format, struct buf *out)
{
    buf_put_u64(out, hash_xxh3(out->data, out->len, 0));
    CHECK(out->len <= format->size_max);
}

enum error sealed_open(const struct sealed_format *format,
                       struct slice bytes,
                       uint32_t *version_out,
                       struct reader *fields_out)
{
    if (bytes.len < CHECKSUM_SIZE || bytes.len > format->size_max) {
        return ERR_CORRUPT;
    }
    struct slice body = slice_of(bytes.data, bytes.len - CHECKSUM_SIZE);
    struct reader tail = reader_of(slice_of(bytes.data + body.len, CHECKSUM_SIZE));
    if (reader_u64(&tail) != hash_xxh3(body.data, body.len, 0)) {
        return ERR_CORRUPT;
    }
    struct reader fields = reader_of(body);
    uint64_t magic = format->magic_size == 4 ? reader_u32(&fields) : reader_u64(&fields);
    uint32_t version = reader_u32(&fields);
    if (fields.failed || magic != format->magic) {
        return ERR_CORRUPT;
    }
    if (version < format->oldest || version > format->newest) {
        return ERR_VERSION;
    }
    *version_out = version;
    *fields_out = fields;
    return ERR_OK;
}
