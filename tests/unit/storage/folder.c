/* SPDX-License-Identifier: Apache-2.0 */
/* See folder.h. */
#include "tests/unit/storage/folder.h"

#include "base/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void folder_make(struct folder *folder)
{
    int len = snprintf(folder->path, sizeof(folder->path), "/var/tmp/indaba-storage-XXXXXX");
    CHECK(len > 0);
    CHECK(mkdtemp(folder->path) != NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void folder_remove(struct folder *folder)
{
    CHECK(strncmp(folder->path, "/var/tmp/indaba-storage-", 24) == 0);
    CHECK(nftw(folder->path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

void folder_overwrite(const struct folder *folder, const char *name, int64_t at, const char *text)
{
    char path[FOLDER_PATH_SIZE * 2];
    int len = snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    CHECK(len > 0);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    CHECK(pwrite(file, text, strlen(text), at) == (ssize_t)strlen(text));
    CHECK(close(file) == 0);
}
