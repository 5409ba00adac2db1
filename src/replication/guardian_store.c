/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian's file: (epoch, fenced epoch), checked by XXH3. A child writes it, so that the
 * guardian itself never waits for a disk; answers that promise durability wait for the child. */
#include "replication/guardian_internal.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "replication/durable_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STORE_MAGIC    UINT64_C(0x3164726175676469) /* "idguard1" */
#define RETRY_NS       UINT64_C(500000000)
#define STORE_HASH_LEN offsetof(struct store, checksum)

struct store {
    uint64_t magic;
    uint64_t epoch;
    uint64_t fenced_epoch;
    uint64_t checksum;
};

int guardian_store_load(struct guardian *guardian)
{
    struct store store;
    size_t len = 0;

    enum error error = durable_file_read(guardian->state_path, &store, sizeof(store), &len);
    if (error == ERR_NOT_FOUND) {
        return GUARDIAN_EXIT_OK;
    }
    if (error == ERR_OK && (len != sizeof(store) || store.magic != STORE_MAGIC ||
                            store.checksum != hash_xxh3(&store, STORE_HASH_LEN, 0) ||
                            store.fenced_epoch > store.epoch)) {
        error = ERR_CORRUPT;
    }
    if (error != ERR_OK) {
        (void)fprintf(stderr,
                      "indaba guardian: %s: %s. Without it nobody knows which epochs are over "
                      "here: restore it, or remove the data folder, this file and the sidecar's "
                      "state together, which makes this a new instance.\n",
                      guardian->state_path,
                      error_text(error));
        return GUARDIAN_EXIT_SETUP;
    }
    guardian->epoch = guardian->durable_epoch = store.epoch;
    guardian->fenced_epoch = guardian->durable_fenced_epoch = store.fenced_epoch;
    return GUARDIAN_EXIT_OK;
}

void guardian_store_update(struct guardian *guardian, uint64_t now_ns)
{
    bool behind = guardian->durable_epoch != guardian->epoch ||
                  guardian->durable_fenced_epoch != guardian->fenced_epoch;

    if (!behind || guardian->writer != 0 || now_ns < guardian->writer_retry_ns) {
        return;
    }
    CHECK(guardian->epoch >= guardian->durable_epoch);
    CHECK(guardian->fenced_epoch >= guardian->durable_fenced_epoch);
    guardian->writer_epoch = guardian->epoch;
    guardian->writer_fenced_epoch = guardian->fenced_epoch;
    pid_t pid = fork();
    if (pid == 0) {
        struct store store = {
            .magic = STORE_MAGIC,
            .epoch = guardian->epoch,
            .fenced_epoch = guardian->fenced_epoch,
        };
        store.checksum = hash_xxh3(&store, STORE_HASH_LEN, 0);
        (void)close(guardian->lock_fd);
        (void)close(guardian->listen_fd);
        enum error error = durable_file_write(guardian->state_path, &store, sizeof(store), NULL);
        _exit(error == ERR_OK ? 0 : (errno > 0 && errno < 128 ? errno : EIO));
    }
    if (pid < 0) {
        guardian->writer_errno = errno;
        guardian->writer_retry_ns = now_ns + RETRY_NS;
        return;
    }
    guardian->writer = pid;
}

void guardian_store_reaped(struct guardian *guardian, int status, uint64_t now_ns)
{
    guardian->writer = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        guardian->writer_errno = 0;
        guardian->durable_epoch = guardian->writer_epoch;
        guardian->durable_fenced_epoch = guardian->writer_fenced_epoch;
        return;
    }
    guardian->writer_errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    guardian->writer_retry_ns = now_ns + RETRY_NS;
    log_event(LOG_ERROR,
              "guardian.store_failed",
              "path=%s why=%s",
              log_quote(guardian->state_path),
              log_quote(strerrordesc_np(guardian->writer_errno)));
}
