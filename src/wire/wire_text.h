/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers of the wire_* files: a sticky error for decoders, and copies between protobuf-c's
 * strings and the bounded arrays of our structs. */
#ifndef INDABA_WIRE_WIRE_TEXT_H
#define INDABA_WIRE_WIRE_TEXT_H

#include "base/ids.h"
#include "wire/arena.h"

/* The first failure sticks; decoders read straight through and return it at the end. */
struct wire_check {
    enum error error;
};

/* Marks the decoder failed with ERR_PROTOCOL unless `holds`. */
void wire_require(struct wire_check *check, bool holds);

/* Copies with a NUL; a text that does not fit marks the decoder failed and leaves "". */
void wire_copy_text(struct wire_check *check, char *to, size_t size, const char *from);
#define WIRE_COPY_TEXT(check, array, from) wire_copy_text((check), (array), sizeof(array), (from))

/* protobuf-c wants char *, and never writes through it. */
char *wire_string(const char *text);

/* Space of the encoder in the arena; the caps of our structs keep it far below its limit. */
void *wire_new(struct wire_arena *arena, size_t size);

/* An array of `count` pointers to messages of `size` bytes each, contiguous, all in the arena; the
 * messages are zeroed and still have to be initialised. */
void **wire_new_messages(struct wire_arena *arena, size_t count, size_t size);

#endif
