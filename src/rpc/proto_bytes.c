/* SPDX-License-Identifier: Apache-2.0 */
/* See proto_bytes.h. Wire format: protobuf.dev/programming-guides/encoding. */
#include "rpc/proto_bytes.h"

enum {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5
};

static bool take_varint(struct slice *in, uint64_t *value);

void proto_put_varint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_put_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_put_u8(out, (uint8_t)value);
}

void proto_put_number(struct buf *out, uint32_t field, uint64_t value)
{
    proto_put_varint(out, (uint64_t)field << 3 | WIRE_VARINT);
    proto_put_varint(out, value);
}

void proto_put_bytes(struct buf *out, uint32_t field, struct slice bytes)
{
    proto_put_varint(out, (uint64_t)field << 3 | WIRE_BYTES);
    proto_put_varint(out, bytes.len);
    buf_append(out, bytes.data, bytes.len);
}

void proto_put_text(struct buf *out, uint32_t field, const char *text)
{
    if (text[0] != '\0') {
        proto_put_bytes(out, field, slice_of_string(text));
    }
}

bool proto_next(struct slice *in, uint32_t *field_out, struct slice *bytes_out)
{
    uint64_t key;
    uint64_t len = 0;
    if (!take_varint(in, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX) {
        return false;
    }
    *field_out = (uint32_t)(key >> 3);
    *bytes_out = slice_of(in->data, 0);
    switch (key & 7) {
    case WIRE_VARINT:
        return take_varint(in, &len);
    case WIRE_FIXED64:
        len = 8;
        break;
    case WIRE_FIXED32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!take_varint(in, &len)) {
            return false;
        }
        break;
    default:
        return false;
    }
    if (len > in->len) {
        return false;
    }
    if ((key & 7) == WIRE_BYTES) {
        *bytes_out = slice_of(in->data, (size_t)len);
    }
    *in = slice_of(in->data + len, in->len - (size_t)len);
    return true;
}

bool proto_find(struct slice in, uint32_t field, struct slice *bytes_out)
{
    uint32_t number;
    struct slice found;
    while (proto_next(&in, &number, &found)) {
        if (number == field) {
            *bytes_out = found;
            return true;
        }
    }
    return false;
}

static bool take_varint(struct slice *in, uint64_t *value)
{
    uint64_t result = 0;
    for (uint32_t shift = 0; shift < 64 && in->len > 0; shift += 7) {
        uint8_t byte = in->data[0];
        *in = slice_of(in->data + 1, in->len - 1);
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}
