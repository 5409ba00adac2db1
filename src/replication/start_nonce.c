/* SPDX-License-Identifier: Apache-2.0 */
/* See start_nonce.h. The same line of text in both files: a word, the nonce in hex, a line end. */
#include "replication/start_nonce.h"

#include "base/ids.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LINE_SIZE = 40,
    NONCE_DIGITS = 16,
};

#define FILE_NAME "indaba.start"

static const char WORD[] = "start ";

static uint64_t read_nonce(const char *dir);
static enum error
write_nonce(struct work *work, const char *dir, uint64_t nonce, const struct durable_owner *owner);
static void folder_of(const struct start_place *place, struct guard_folder *folder_out);

enum error
start_nonce_stamp(struct work *work, const struct start_place *place, struct guard_start *start_out)
{
    struct durable_owner owner = {.uid = place->user->uid, .gid = place->user->gid, .mode = 0600};
    struct guard_start start = {0};
    uint64_t unused = 0;

    start_nonce_read(place, &start.folder);
    start.nonce_before = start.folder.nonce;
    start.folder.nonce = 0;
    while (start.folder.nonce == 0) {
        id128_random(&start.folder.nonce, &unused);
    }
    TRY(write_nonce(work, place->state, start.folder.nonce, NULL));
    as_user_enter(place->user);
    enum error error = write_nonce(work, place->data, start.folder.nonce, &owner);
    as_user_leave(place->user);
    *start_out = start;
    return error;
}

void start_nonce_read(const struct start_place *place, struct guard_folder *folder_out)
{
    struct guard_folder folder = {0};

    as_user_enter(place->user);
    folder_of(place, &folder);
    folder.nonce = read_nonce(place->data);
    as_user_leave(place->user);
    if (folder.nonce != read_nonce(place->state)) {
        folder.nonce = 0;
    }
    *folder_out = folder;
}

static void folder_of(const struct start_place *place, struct guard_folder *folder_out)
{
    struct stat status;

    if (stat(place->data, &status) == 0) {
        folder_out->device = (uint64_t)status.st_dev;
        folder_out->inode = (uint64_t)status.st_ino;
    }
}

static uint64_t read_nonce(const char *dir)
{
    char path[PATH_MAX];
    char line[LINE_SIZE] = "";
    char *end = NULL;
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    if (durable_file_read(path, line, sizeof(line) - 1, &len) != ERR_OK ||
        len != strlen(WORD) + NONCE_DIGITS + 1 || memcmp(line, WORD, strlen(WORD)) != 0) {
        return 0;
    }
    line[len] = '\0';
    uint64_t nonce = strtoull(line + strlen(WORD), &end, 16);
    return strcmp(end, "\n") == 0 ? nonce : 0;
}

static enum error
write_nonce(struct work *work, const char *dir, uint64_t nonce, const struct durable_owner *owner)
{
    char path[PATH_MAX];
    char line[LINE_SIZE];

    (void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    int len = snprintf(line, sizeof(line), "%s%016" PRIx64 "\n", WORD, nonce);
    enum error error = durable_file_write(path, line, (size_t)len, owner);
    return error == ERR_OK
               ? ERR_OK
               : work_fail(work, error, "cannot write %.128s: %s", path, strerrordesc_np(errno));
}
