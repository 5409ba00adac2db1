/* SPDX-License-Identifier: Apache-2.0 */
/* See wire/wire_text.h. */
#include "wire/wire_text.h"

#include "base/check.h"

#include <string.h>

void wire_require(struct wire_check *check, bool holds)
{
    if (!holds && check->error == ERR_OK) {
        check->error = ERR_PROTOCOL;
    }
}

void wire_copy_text(struct wire_check *check, char *to, size_t size, const char *from)
{
    CHECK(size > 0);
    size_t len = from == NULL ? 0 : strlen(from);
    wire_require(check, len < size);
    if (len >= size) {
        len = 0;
    }
    if (len > 0) {
        memcpy(to, from, len);
    }
    to[len] = '\0';
}

char *wire_string(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};

    return cast.out;
}

void *wire_new(struct wire_arena *arena, size_t size)
{
    void *memory = wire_arena_alloc(arena, size);
    CHECK(memory != NULL);
    return memory;
}

void **wire_new_messages(struct wire_arena *arena, size_t count, size_t size)
{
    if (count == 0) {
        return NULL;
    }
    void **pointers = wire_new(arena, count * sizeof(*pointers));
    uint8_t *messages = wire_new(arena, count * size);
    for (size_t i = 0; i < count; i++) {
        pointers[i] = messages + i * size;
    }
    return pointers;
}
