/* SPDX-License-Identifier: Apache-2.0 */
/* See wire/prescan.h. Wire format: protobuf.dev/programming-guides/encoding. */
#include "wire/prescan.h"

#include "base/check.h"
#include "base/utf8.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_LENGTH = 2,
    WIRE_FIXED32 = 5,
};

enum {
    FIELD_NUMBER_MAX = (1 << 29) - 1,
    VARINT_BYTES_MAX = 10
};

/* The bytes looked at, and the same once more if texts may be mended in them. */
struct scan {
    const uint8_t *bytes;
    uint8_t *mended;
};

static enum error scan_message(const struct scan *scan,
                               const ProtobufCMessageDescriptor *descriptor,
                               struct slice bytes,
                               uint32_t depth);
static enum error scan_length(const struct scan *scan,
                              const ProtobufCFieldDescriptor *field,
                              struct slice value,
                              uint32_t depth);
static bool mend(const struct scan *scan, struct slice text);
static bool read_varint(struct slice bytes, size_t *offset, uint64_t *value_out);

enum error prescan_message(const ProtobufCMessageDescriptor *descriptor, struct slice bytes)
{
    CHECK(descriptor != NULL);
    const struct scan scan = {.bytes = bytes.data};
    return scan_message(&scan, descriptor, bytes, 0);
}

enum error prescan_mend(const ProtobufCMessageDescriptor *descriptor, uint8_t *bytes, size_t len)
{
    const struct scan scan = {.bytes = bytes, .mended = bytes};
    return scan_message(&scan, descriptor, slice_of(bytes, len), 0);
}

bool prescan_text_is_valid(struct slice text)
{
    size_t offset = 0;
    while (offset < text.len) {
        if (text.data[offset] == 0) {
            return false;
        }
        uint32_t code = 0;
        size_t whole = utf8_character(text.data + offset, text.len - offset, &code);
        if (whole == 0) {
            return false;
        }
        offset += whole;
    }
    return true;
}

static enum error scan_message(const struct scan *scan,
                               const ProtobufCMessageDescriptor *descriptor,
                               struct slice bytes,
                               uint32_t depth)
{
    if (depth > PRESCAN_DEPTH_MAX) {
        return ERR_PROTOCOL;
    }
    size_t offset = 0;
    while (offset < bytes.len) {
        uint64_t tag = 0;
        uint64_t value = 0;
        if (!read_varint(bytes, &offset, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) {
            return ERR_PROTOCOL;
        }
        unsigned number = (unsigned)(tag >> 3);
        size_t fixed = 0;
        switch (tag & 7) {
        case WIRE_VARINT:
            if (!read_varint(bytes, &offset, &value)) {
                return ERR_PROTOCOL;
            }
            break;
        case WIRE_FIXED64:
            fixed = 8;
            break;
        case WIRE_FIXED32:
            fixed = 4;
            break;
        case WIRE_LENGTH:
            if (!read_varint(bytes, &offset, &value) || value > bytes.len - offset) {
                return ERR_PROTOCOL;
            }
            struct slice inner = {.data = bytes.data + offset, .len = (size_t)value};
            TRY(scan_length(
                scan, protobuf_c_message_descriptor_get_field(descriptor, number), inner, depth));
            fixed = (size_t)value;
            break;
        default:
            return ERR_PROTOCOL; /* groups are not used by any message of ours */
        }
        if (fixed > bytes.len - offset) {
            return ERR_PROTOCOL;
        }
        offset += fixed;
    }
    return ERR_OK;
}

static enum error scan_length(const struct scan *scan,
                              const ProtobufCFieldDescriptor *field,
                              struct slice value,
                              uint32_t depth)
{
    if (field == NULL) {
        return ERR_OK; /* unknown: kept or dropped by protobuf-c, bounded by the arena */
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return scan_message(scan, field->descriptor, value, depth + 1);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING && !prescan_text_is_valid(value) &&
        !mend(scan, value)) {
        return ERR_PROTOCOL;
    }
    return ERR_OK;
}

static bool mend(const struct scan *scan, struct slice text)
{
    if (scan->mended == NULL) {
        return false;
    }
    utf8_mend(scan->mended + (text.data - scan->bytes), text.len);
    return true;
}

static bool read_varint(struct slice bytes, size_t *offset, uint64_t *value_out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
        if (*offset >= bytes.len) {
            return false;
        }
        uint8_t byte = bytes.data[(*offset)++];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *value_out = value;
            return true;
        }
    }
    return false;
}
