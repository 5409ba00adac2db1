/* SPDX-License-Identifier: Apache-2.0 */
/* See wire/arena.h. Chunks double up to 64 KiB, so that a small message costs one small allocation.
 */
#include "wire/arena.h"

#include "base/check.h"
#include "base/mem.h"
#include "wire/prescan.h"

#include <stdalign.h>
#include <string.h>

enum {
    CHUNK_SIZE_MIN = 1024,
    CHUNK_SIZE_MAX = 64 * 1024,
    CAP_BASE = 64 * 1024,
    CAP_FACTOR = 8,
    CAP_MAX = 32 * 1024 * 1024,
};

struct wire_arena_chunk {
    struct wire_arena_chunk *next;
    size_t size;
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

static struct wire_arena_chunk *add_chunk(struct wire_arena *arena, size_t size);
static void *allocator_alloc(void *ctx, size_t size);
static void allocator_free(void *ctx, void *pointer);

void wire_arena_init(struct wire_arena *arena, size_t cap)
{
    CHECK(cap > 0);
    *arena = (struct wire_arena){.cap = cap};
    arena->allocator = (ProtobufCAllocator){
        .alloc = allocator_alloc,
        .free = allocator_free,
        .allocator_data = arena,
    };
}

void wire_arena_deinit(struct wire_arena *arena)
{
    while (arena->chunks != NULL) {
        struct wire_arena_chunk *next = arena->chunks->next;
        mem_free(arena->chunks);
        arena->chunks = next;
    }
    arena->used = 0;
}

void *wire_arena_alloc(struct wire_arena *arena, size_t size)
{
    size_t align = alignof(max_align_t);
    if (size > arena->cap) {
        return NULL;
    }
    size_t rounded = (size + align - 1) / align * align;
    if (rounded == 0) {
        rounded = align;
    }
    if (rounded > arena->cap - arena->used) {
        return NULL;
    }
    struct wire_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < rounded) {
        chunk = add_chunk(arena, rounded);
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    return memory;
}

size_t wire_arena_cap_for(size_t len)
{
    if (len > (CAP_MAX - CAP_BASE) / CAP_FACTOR) {
        return CAP_MAX;
    }
    return CAP_BASE + CAP_FACTOR * len;
}

enum error wire_unpack(const ProtobufCMessageDescriptor *descriptor,
                       struct slice bytes,
                       struct wire_arena *arena,
                       ProtobufCMessage **message_out)
{
    TRY(prescan_message(descriptor, bytes));
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &arena->allocator, bytes.len, bytes.data);
    if (message == NULL) {
        /* The scan passed, so what is left is the cap or a rule that only protobuf-c knows. */
        return arena->cap - arena->used < arena->cap / 8 ? ERR_LIMIT : ERR_PROTOCOL;
    }
    *message_out = message;
    return ERR_OK;
}

void wire_pack(const ProtobufCMessage *message, struct buf *out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    buf_reserve(out, len);
    size_t packed = protobuf_c_message_pack(message, out->data + out->len);
    CHECK(packed == len);
    /* Whoever reads it would refuse all of it for one text that was cut inside a character. */
    CHECK(prescan_mend(message->descriptor, out->data + out->len, len) == ERR_OK);
    out->len += len;
}

static struct wire_arena_chunk *add_chunk(struct wire_arena *arena, size_t size)
{
    size_t chunk_size = CHUNK_SIZE_MIN;
    if (arena->chunks != NULL) {
        chunk_size = arena->chunks->size * 2;
    }
    if (chunk_size > CHUNK_SIZE_MAX) {
        chunk_size = CHUNK_SIZE_MAX;
    }
    if (chunk_size < size) {
        chunk_size = size;
    }
    struct wire_arena_chunk *chunk = mem_new(sizeof(*chunk) + chunk_size);
    chunk->size = chunk_size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

static void *allocator_alloc(void *ctx, size_t size)
{
    return wire_arena_alloc(ctx, size);
}

static void allocator_free(void *ctx, void *pointer)
{
    /* Everything goes at once in wire_arena_deinit. */
    (void)ctx;
    (void)pointer;
}
