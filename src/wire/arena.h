/* SPDX-License-Identifier: Apache-2.0 */
/* A bump allocator with a hard cap, and the only door through which protobuf bytes from outside
 * come in: wire_unpack scans them first (wire/prescan.h), then lets protobuf-c build the message
 * inside the arena. Amplification is bounded by the cap; freeing is one call. */
#ifndef INDABA_WIRE_ARENA_H
#define INDABA_WIRE_ARENA_H

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

struct wire_arena_chunk;

struct wire_arena {
    struct wire_arena_chunk *chunks;
    size_t used;
    size_t cap;
    ProtobufCAllocator allocator;
};

/* `cap` bounds the bytes handed out. */
void wire_arena_init(struct wire_arena *arena, size_t cap);
/* Frees everything at once; pointers into it end here. */
void wire_arena_deinit(struct wire_arena *arena);
/* Zeroed and aligned for any type; NULL beyond the cap. */
void *wire_arena_alloc(struct wire_arena *arena, size_t size);

/* The cap that suits a message of `len` bytes: 8 times its size and 64 KiB, at most 32 MiB. */
size_t wire_arena_cap_for(size_t len);

/* Scans and unpacks. The message lives in the arena. ERR_PROTOCOL for bytes that are not a valid
 * message of this type, ERR_LIMIT if it would need more than the cap. */
MUST_CHECK enum error wire_unpack(const ProtobufCMessageDescriptor *descriptor,
                                  struct slice bytes,
                                  struct wire_arena *arena,
                                  ProtobufCMessage **message_out);

/* Appends the packed message. Texts that are no UTF-8, since they were cut to fit or quote somebody
 * else, leave as UTF-8: nobody would take the message otherwise. */
void wire_pack(const ProtobufCMessage *message, struct buf *out);

#endif
