/* SPDX-License-Identifier: Apache-2.0 */
/* Heap memory that is never NULL. Sizes that come from outside are bounded before they get here, so
 * running out means that the machine is out of memory; the process then ends with a clear line, as
 * by kill -9, which every process of ours survives by design (docs/adr/0002). */
#ifndef INDABA_BASE_MEM_H
#define INDABA_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory for `size` bytes (0 gives a unique pointer). Release with mem_free. */
void *mem_new(size_t size) __attribute__((malloc, returns_nonnull));

/* Zeroed memory for `count` objects of `size` bytes; an overflow of the product ends the process.
 */
void *mem_new_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* Grow or shrink as realloc does; new bytes are not zeroed. */
void *mem_resize(void *memory, size_t size) __attribute__((returns_nonnull));

/* A heap copy of `len` bytes, or of a string with its terminator. */
void *mem_dup(const void *data, size_t len) __attribute__((returns_nonnull));
char *mem_dup_string(const char *string) __attribute__((returns_nonnull));

/* NULL is allowed. */
void mem_free(void *memory);

#endif
