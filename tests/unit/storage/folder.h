/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own under /var/tmp for tests that need real files. */
#ifndef INDABA_TESTS_STORAGE_FOLDER_H
#define INDABA_TESTS_STORAGE_FOLDER_H

#include <stdint.h>

enum {
    FOLDER_PATH_SIZE = 128
};

struct folder {
    char path[FOLDER_PATH_SIZE];
};

void folder_make(struct folder *folder);
/* With everything in it, two levels deep. */
void folder_remove(struct folder *folder);
/* Replaces bytes of a file in it. */
void folder_overwrite(const struct folder *folder, const char *name, int64_t at, const char *text);

#endif
