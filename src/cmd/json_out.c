/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/json_out.h. jansson makes the text. */
#include "cmd/json_out.h"

#include "base/check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *message_object(const ProtobufCMessage *message);
static json_t *field_value(const ProtobufCFieldDescriptor *field, const void *member);
static json_t *bytes_hex(const ProtobufCBinaryData *bytes);
static size_t element_size(const ProtobufCFieldDescriptor *field);
static const void *at(const void *base, size_t offset);

void json_out_message(const ProtobufCMessage *message, struct buf *out)
{
    json_t *object = message_object(message);
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    CHECK(text != NULL);
    buf_append_string(out, text);
    buf_append_string(out, "\n");
    free(text);
    json_decref(object);
}

static json_t *message_object(const ProtobufCMessage *message)
{
    json_t *object = json_object();
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const void *member = at(message, field->offset);
        json_t *value = NULL;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)at(message, field->quantifier_offset);
            const void *elements = *(void *const *)member;
            value = json_array();
            for (size_t k = 0; k < count; k++) {
                (void)json_array_append_new(
                    value, field_value(field, at(elements, k * element_size(field))));
            }
        } else {
            bool in_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
            if (in_oneof && *(const uint32_t *)at(message, field->quantifier_offset) != field->id) {
                continue;
            }
            value = field_value(field, member);
        }
        (void)json_object_set_new(object, field->name, value);
    }
    return object;
}

static json_t *field_value(const ProtobufCFieldDescriptor *field, const void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)member);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)member);
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)member);
        return value == NULL ? json_null() : json_string(value->name);
    }
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_sprintf("%" PRId64, *(const int64_t *)member);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_sprintf("%" PRIu64, *(const uint64_t *)member);
    case PROTOBUF_C_TYPE_FLOAT:
        return json_real((double)*(const float *)member);
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_real(*(const double *)member);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)member != 0);
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)member;
        return json_string(text == NULL ? "" : text);
    }
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_hex(member);
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *inner = *(ProtobufCMessage *const *)member;
        return inner == NULL ? json_null() : message_object(inner);
    }
    }
    UNREACHABLE("protobuf-c has no other types");
}

static json_t *bytes_hex(const ProtobufCBinaryData *bytes)
{
    struct buf hex = {0};
    for (size_t i = 0; i < bytes->len; i++) {
        buf_printf(&hex, "%02x", bytes->data[i]);
    }
    json_t *value = json_stringn((const char *)hex.data, hex.len);
    buf_deinit(&hex);
    return value == NULL ? json_string("") : value;
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    }
    UNREACHABLE("protobuf-c has no other types");
}

static const void *at(const void *base, size_t offset)
{
    return (const uint8_t *)base + offset;
}
