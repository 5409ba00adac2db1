/* SPDX-License-Identifier: Apache-2.0 */
/* What a preloaded library and a test share: a file that is memory of both. */
#ifndef INDABA_PRELOAD_CONTROL_H
#define INDABA_PRELOAD_CONTROL_H

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A test that is not obeyed would pass for the wrong reason: whatever fails ends the process. */
static inline void *preload_control(const char *path, size_t size)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    void *shared =
        file < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) {
        perror(path);
        abort();
    }
    (void)close(file);
    return shared;
}

#endif
