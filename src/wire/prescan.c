/* SPDX-License-Identifier: Apache-2.0 */
/* See wire/prescan.h. Wire format: protobuf.dev/programming-guides/encoding. */
#include "wire/prescan.h"

#include "base/check.h"

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

static enum error
scan(const ProtobufCMessageDescriptor *descriptor, struct slice bytes, uint32_t depth);
static enum error
scan_length(const ProtobufCFieldDescriptor *field, struct slice value, uint32_t depth);
static bool read_varint(struct slice bytes, size_t *offset, uint64_t *value_out);
static size_t utf8_sequence(const uint8_t *text, size_t left);

enum error prescan_message(const ProtobufCMessageDescriptor *descriptor, struct slice bytes)
{
    CHECK(descriptor != NULL);
    return scan(descriptor, bytes, 0);
}

bool prescan_text_is_valid(struct slice text)
{
    size_t offset = 0;
    while (offset < text.len) {
        if (text.data[offset] == 0) {
            return false;
        }
        size_t sequence = utf8_sequence(text.data + offset, text.len - offset);
        if (sequence == 0) {
            return false;
        }
        offset += sequence;
    }
    return true;
}

static enum error
scan(const ProtobufCMessageDescriptor *descriptor, struct slice bytes, uint32_t depth)
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
                protobuf_c_message_descriptor_get_field(descriptor, number), inner, depth));
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

static enum error
scan_length(const ProtobufCFieldDescriptor *field, struct slice value, uint32_t depth)
{
    if (field == NULL) {
        return ERR_OK; /* unknown: kept or dropped by protobuf-c, bounded by the arena */
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return scan(field->descriptor, value, depth + 1);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING && !prescan_text_is_valid(value)) {
        return ERR_PROTOCOL;
    }
    return ERR_OK;
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

/* Length of the UTF-8 sequence at `text`, 0 if it is not valid. */
static size_t utf8_sequence(const uint8_t *text, size_t left)
{
    uint8_t first = text[0];
    if (first < 0x80) {
        return 1;
    }
    size_t len = 0;
    uint32_t code = 0;
    uint32_t least = 0;
    if ((first & 0xe0) == 0xc0) {
        len = 2, code = first & 0x1fU, least = 0x80;
    } else if ((first & 0xf0) == 0xe0) {
        len = 3, code = first & 0x0fU, least = 0x800;
    } else if ((first & 0xf8) == 0xf0) {
        len = 4, code = first & 0x07U, least = 0x10000;
    } else {
        return 0;
    }
    if (left < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fU);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least || code > 0x10ffff || surrogate ? 0 : len;
}
