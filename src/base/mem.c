/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that ends the process instead of returning NULL (docs/adr/0002). The line is written
 * without allocating; the exit is at once, as by kill -9. */
#include "base/mem.h"

#include "base/log_writer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *must_have(void *memory, size_t size);
__attribute__((noreturn, cold)) static void out_of_memory(size_t size);

void *mem_new(size_t size)
{
    return mem_new_array(1, size);
}

void *mem_new_array(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        out_of_memory(SIZE_MAX);
    }
    size_t total = count * size;
    return must_have(calloc(1, total == 0 ? 1 : total), total);
}

void *mem_resize(void *memory, size_t size)
{
    return must_have(realloc(memory, size == 0 ? 1 : size), size);
}

void *mem_dup(const void *data, size_t len)
{
    void *copy = must_have(malloc(len == 0 ? 1 : len), len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

char *mem_dup_string(const char *string)
{
    return mem_dup(string, strlen(string) + 1);
}

void mem_free(void *memory)
{
    free(memory);
}

static void *must_have(void *memory, size_t size)
{
    if (memory == NULL) {
        out_of_memory(size);
    }
    return memory;
}

static void out_of_memory(size_t size)
{
    char message[128];
    int len = snprintf(message,
                       sizeof(message),
                       "error event=memory.exhausted bytes=%zu action=\"the process ends\"\n",
                       size);
    if (len > 0) {
        log_last_words(message, (size_t)len);
    }
    abort();
}
