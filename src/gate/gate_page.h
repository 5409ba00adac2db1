/* SPDX-License-Identifier: Apache-2.0 */
/* The page: what the guardian lets the database know, in memory that both map. The guardian makes
 * it before it starts a database and hands it over as an open descriptor; it has no name that could
 * be removed, lives as long as the guardian, and is sealed, so that nobody else can write into it.
 *
 * One writer, many readers: `sequence` is odd while it writes (a seqlock). A writer that dies in
 * between leaves a page that cannot be read, which lets nobody commit; its database dies with it.
 *
 * Seen by the guardian and by the module in the database, which are always of one build: the module
 * is carried in the binary. Nothing but stdint here. */
#ifndef INDABA_GATE_GATE_PAGE_H
#define INDABA_GATE_GATE_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define GATE_PAGE_MAGIC       UINT64_C(0x3165746167646e69) /* "indgate1" */
#define GATE_PAGE_ENVIRONMENT "INDABA_GATE_PAGE"           /* number of the open descriptor */

enum {
    GATE_PAGE_SIZE = 4096,
    GATE_MEMBERS_MAX = 8,
    GATE_NAME_SIZE = 64, /* as PostgreSQL's names */
    GATE_SIDECARS_MAX = 4,
    GATE_READ_TRIES = 10000,
};

/* What is read as a whole. */
struct gate_view {
    uint64_t epoch;
    uint64_t deadline_ns; /* of CLOCK_BOOTTIME: who commits later is not answered; 0: nobody may */
    int32_t sidecars[GATE_SIDECARS_MAX]; /* pids of who speaks with the guardian; 0 none */
    uint32_t sync;     /* a commit is answered once `required` of `names` have flushed it */
    uint32_t required; /* 0: nobody is on record yet, so nothing is answered */
    uint32_t names_count;
    uint32_t unused;
    char names[GATE_MEMBERS_MAX][GATE_NAME_SIZE];
};

struct gate_page {
    uint64_t magic;
    uint32_t sequence;
    struct gate_view view;
};

_Static_assert(sizeof(struct gate_page) <= GATE_PAGE_SIZE, "one page");

static inline void gate_page_write(struct gate_page *page, const struct gate_view *view)
{
    uint32_t sequence = __atomic_load_n(&page->sequence, __ATOMIC_RELAXED);

    __atomic_store_n(&page->sequence, sequence | 1u, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    page->view = *view;
    page->magic = GATE_PAGE_MAGIC;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&page->sequence, (sequence | 1u) + 1u, __ATOMIC_RELEASE);
}

/* False if it cannot be read: not ours, or somebody died while writing. */
static inline bool gate_page_read(const struct gate_page *page, struct gate_view *view_out)
{
    for (int i = 0; i < GATE_READ_TRIES; i++) {
        uint32_t before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
        *view_out = page->view;
        bool ours = page->magic == GATE_PAGE_MAGIC;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if ((before & 1u) == 0 && __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) == before) {
            return ours;
        }
    }
    return false;
}

/* The clock of deadlines: it runs while the machine sleeps, and cannot be set. 0 if there is none.
 */
static inline uint64_t gate_now_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
