/* SPDX-License-Identifier: Apache-2.0 */
/* See screen.h. */
#include "cmd/screen.h"

#include "base/check.h"
#include "base/plain_text.h"

#include <string.h>

static void
screen_field(const ProtobufCFieldDescriptor *field, void *member, struct wire_arena *arena);
static void *at(void *base, size_t offset);

void screen_message(ProtobufCMessage *message, struct wire_arena *arena)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        void *member = at(message, field->offset);
        if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)at(message, field->quantifier_offset) != field->id) {
            continue; /* another one of them is there */
        }
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            screen_field(field, member, arena);
            continue;
        }
        size_t count = *(const size_t *)at(message, field->quantifier_offset);
        void **elements = *(void ***)member;
        for (size_t k = 0; k < count; k++) {
            screen_field(field, &elements[k], arena);
        }
    }
}

char *screen_text(char *text, struct wire_arena *arena)
{
    size_t len = strlen(text);
    if (plain_text_is(text, len)) {
        return text;
    }
    struct buf plain = {0};
    plain_text_append(&plain, text, len);
    char *copy = wire_arena_alloc(arena, plain.len + 1);
    if (copy != NULL) {
        memcpy(copy, plain.data, plain.len);
        copy[plain.len] = '\0';
    }
    buf_deinit(&plain);
    static char unfit[] = "(too long to be shown)";
    return copy == NULL ? unfit : copy;
}

/* `member` points at a pointer, to a string or a message. */
static void
screen_field(const ProtobufCFieldDescriptor *field, void *member, struct wire_arena *arena)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        char **text = member;
        if (*text != NULL) {
            *text = screen_text(*text, arena);
        }
        return;
    }
    CHECK(field->type == PROTOBUF_C_TYPE_MESSAGE);
    ProtobufCMessage **inner = member;
    if (*inner != NULL) {
        screen_message(*inner, arena);
    }
}

static void *at(void *base, size_t offset)
{
    return (uint8_t *)base + offset;
}
