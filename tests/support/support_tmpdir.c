/* SPDX-License-Identifier: Apache-2.0 */
/* Folders are remembered in a list and removed at exit, by the process that made them: a forked
 * child that ends must not take its parent's folders with it. */
#include "tests/support/support_tmpdir.h"

#include "base/mem.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PATH_SIZE = 128,
    OPEN_FOLDERS_MAX = 16
};

struct folder {
    struct folder *next;
    char path[PATH_SIZE];
};

static struct folder *folders;
static pid_t owner;

static void remove_folders(void);
static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *position);

const char *support_tmpdir(const char *purpose)
{
    struct folder *folder = mem_new(sizeof(*folder));
    int len = snprintf(folder->path, sizeof(folder->path), "/var/tmp/indaba-%s-XXXXXX", purpose);
    if (len < 0 || (size_t)len >= sizeof(folder->path) || mkdtemp(folder->path) == NULL) {
        fail_msg("no folder for %s under /var/tmp", purpose);
    }
    if (owner == 0) {
        owner = getpid();
        if (atexit(remove_folders) != 0) {
            fail_msg("atexit refused");
        }
    }
    folder->next = folders;
    folders = folder;
    return folder->path;
}

void support_remove_tree(const char *path)
{
    if (nftw(path, remove_entry, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS) != 0) {
        return; /* already gone, or in use: the next run has a folder of its own */
    }
}

static void remove_folders(void)
{
    const char *keep = getenv("KEEP");
    bool kept = keep != NULL && strcmp(keep, "1") == 0;

    if (owner != getpid()) {
        return;
    }
    while (folders != NULL) {
        struct folder *folder = folders;
        folders = folder->next;
        if (kept) {
            fprintf(stderr, "kept: %s\n", folder->path);
        } else {
            support_remove_tree(folder->path);
        }
        mem_free(folder);
    }
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)type;
    (void)position;
    return remove(path);
}
