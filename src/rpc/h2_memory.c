/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of pages for HTTP/2 sessions: see h2_memory.h. Which request is the session and which is
 * the frame buffer is told by order and size; a version of nghttp2 that asks otherwise gets heap
 * memory and works as well. */
#include "rpc/h2_memory.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/h2_internal.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    H2_SLOT_BYTES = 20 * 1024, /* a session and a frame buffer of 16 KiB and a little */
    H2_SLAB_SLOTS = 64,
    H2_SESSION_BYTES_MAX = 3584,
    H2_FRAME_BYTES_MIN = 16 * 1024,
    H2_ALIGNMENT = 16,
};

struct h2_slab {
    struct h2_slab *next; /* of the slabs with a free slot */
    struct h2_slab *previous;
    uint8_t *base;
    uint64_t free_slots; /* bit i: slot i is free */
};

struct h2_pool {
    struct h2_slab *open; /* slabs with a free slot */
    size_t slot_bytes;    /* whole pages */
    size_t slots_used;
};

static struct h2_slab *slab_new(const struct h2_pool *pool);
static void slab_free(const struct h2_pool *pool, struct h2_slab *slab);
static void pool_link(struct h2_pool *pool, struct h2_slab *slab);
static void pool_unlink(struct h2_pool *pool, struct h2_slab *slab);
static void *slot_take(struct h2_memory *memory, size_t size);
static size_t slot_bytes_of(const struct h2_memory *memory, const void *pointer);
static void *on_malloc(size_t size, void *ctx);
static void on_free(void *pointer, void *ctx);
static void *on_calloc(size_t count, size_t size, void *ctx);
static void *on_realloc(void *pointer, size_t size, void *ctx);

struct h2_pool *h2_pool_new(void)
{
    long page_bytes = sysconf(_SC_PAGESIZE);
    CHECK(page_bytes > 0);
    return h2_pool_new_for((size_t)page_bytes);
}

struct h2_pool *h2_pool_new_for(size_t page_bytes)
{
    struct h2_pool *pool = mem_new(sizeof(*pool));
    pool->slot_bytes = (H2_SLOT_BYTES + page_bytes - 1) / page_bytes * page_bytes;
    return pool;
}

void h2_pool_free(struct h2_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK(pool->slots_used == 0);
    while (pool->open != NULL) {
        struct h2_slab *slab = pool->open;
        pool_unlink(pool, slab);
        slab_free(pool, slab);
    }
    mem_free(pool);
}

void h2_memory_init(struct h2_memory *memory, struct h2_pool *pool)
{
    if (pool->open == NULL) {
        pool_link(pool, slab_new(pool));
    }
    struct h2_slab *slab = pool->open;
    int slot = __builtin_ctzll(slab->free_slots);
    slab->free_slots &= ~(UINT64_C(1) << slot);
    if (slab->free_slots == 0) {
        pool_unlink(pool, slab);
    }
    pool->slots_used++;
    *memory = (struct h2_memory){
        .pool = pool,
        .slab = slab,
        .slot = slab->base + (size_t)slot * pool->slot_bytes,
        .functions = {memory, on_malloc, on_free, on_calloc, on_realloc},
    };
}

void h2_memory_deinit(struct h2_memory *memory)
{
    struct h2_pool *pool = memory->pool;
    struct h2_slab *slab = memory->slab;
    CHECK(madvise(memory->slot, pool->slot_bytes, MADV_DONTNEED) == 0);
    if (slab->free_slots == 0) {
        pool_link(pool, slab);
    }
    slab->free_slots |= UINT64_C(1) << (size_t)(memory->slot - slab->base) / pool->slot_bytes;
    pool->slots_used--;
    bool is_last = slab->previous == NULL && slab->next == NULL;
    if (slab->free_slots == UINT64_MAX && !is_last) {
        pool_unlink(pool, slab);
        slab_free(pool, slab);
    }
    *memory = (struct h2_memory){0};
}

static struct h2_slab *slab_new(const struct h2_pool *pool)
{
    size_t bytes = pool->slot_bytes * H2_SLAB_SLOTS;
    struct h2_slab *slab = mem_new(sizeof(*slab));
    void *base =
        /* cppcheck-suppress invalidFunctionArg */
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(base != MAP_FAILED);
    /* A huge page would hold what nobody has written. Kernels without them refuse the advice. */
    (void)madvise(base, bytes, MADV_NOHUGEPAGE);
    slab->base = base;
    slab->free_slots = UINT64_MAX;
    return slab;
}

static void slab_free(const struct h2_pool *pool, struct h2_slab *slab)
{
    CHECK(munmap(slab->base, pool->slot_bytes * H2_SLAB_SLOTS) == 0);
    mem_free(slab);
}

static void pool_link(struct h2_pool *pool, struct h2_slab *slab)
{
    slab->previous = NULL;
    slab->next = pool->open;
    if (pool->open != NULL) {
        pool->open->previous = slab;
    }
    pool->open = slab;
}

static void pool_unlink(struct h2_pool *pool, struct h2_slab *slab)
{
    if (slab->previous != NULL) {
        slab->previous->next = slab->next;
    } else {
        pool->open = slab->next;
    }
    if (slab->next != NULL) {
        slab->next->previous = slab->previous;
    }
    slab->next = NULL;
    slab->previous = NULL;
}

/* Room in the slot, not zeroed; NULL if this is neither the session nor its frame buffer. */
static void *slot_take(struct h2_memory *memory, size_t size)
{
    if (memory->session_bytes == 0) {
        if (size == 0 || size > H2_SESSION_BYTES_MAX) {
            return NULL;
        }
        memory->session_bytes = size + (H2_ALIGNMENT - size % H2_ALIGNMENT) % H2_ALIGNMENT;
        return memory->slot;
    }
    if (memory->frame_bytes == 0 && size >= H2_FRAME_BYTES_MIN &&
        size <= H2_SLOT_BYTES - memory->session_bytes) {
        memory->frame_bytes = size;
        return memory->slot + memory->session_bytes;
    }
    return NULL;
}

/* 0: not in the slot. */
static size_t slot_bytes_of(const struct h2_memory *memory, const void *pointer)
{
    if (pointer == memory->slot) {
        return memory->session_bytes;
    }
    return pointer == memory->slot + memory->session_bytes ? memory->frame_bytes : 0;
}

static void *on_malloc(size_t size, void *ctx)
{
    void *inside = slot_take(ctx, size);
    return inside != NULL ? inside : mem_resize(NULL, size);
}

static void on_free(void *pointer, void *ctx)
{
    struct h2_memory *memory = ctx;
    if (slot_bytes_of(memory, pointer) == 0) {
        mem_free(pointer);
    } else if (pointer != memory->slot) {
        memory->frame_bytes = 0;
    }
}

static void *on_calloc(size_t count, size_t size, void *ctx)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    void *inside = slot_take(ctx, total);
    return inside != NULL ? memset(inside, 0, total) : mem_new_array(count, size);
}

static void *on_realloc(void *pointer, size_t size, void *ctx)
{
    if (pointer == NULL) {
        return on_malloc(size, ctx);
    }
    size_t before = slot_bytes_of(ctx, pointer);
    if (before == 0) {
        return mem_resize(pointer, size);
    }
    void *moved = mem_resize(NULL, size);
    memcpy(moved, pointer, before < size ? before : size);
    on_free(pointer, ctx);
    return moved;
}
