/* SPDX-License-Identifier: Apache-2.0 */
/* Does a folder of which nothing runs hold the shard's history alone? It is the one that this
 * sidecar started last, or a copy that never ran; and whoever was promoted in it was so by order.
 */
#include "base/check.h"
#include "replication/durable_file.h"
#include "replication/start_nonce.h"
#include "tests/keyvalue/keyvalue_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(const struct keyvalue_driver *driver);
static bool is_ordered(const struct driver_request *request, const struct fork *fork);

enum error keyvalue_prove(struct work *work, struct keyvalue_driver *driver)
{
    char path[KEYVALUE_PATH_SIZE * 2];
    char text[KEYVALUE_LINE_SIZE];
    size_t len = 0;
    struct stat log;
    (void)snprintf(path, sizeof(path), "%s/log", driver->data);
    if (stat(path, &log) != 0) {
        return work_fail(work, ERR_IO, "cannot look at %.200s", path);
    }
    (void)snprintf(path, sizeof(path), "%s/history", driver->data);
    enum error error = durable_file_read(path, text, sizeof(text) - 1, &len);
    if (error != ERR_OK) {
        return work_fail(work, error, "cannot read %.200s", path);
    }
    text[len] = '\0';
    driver->proof.doubted = !is_ours(driver);
    driver->proof.end = (struct position){.lsn = (uint64_t)log.st_size};
    for (char *at = text, *line; (line = strsep(&at, "\n")) != NULL && line[0] != '\0';) {
        char *end = NULL;
        struct fork fork = {.timeline = (uint32_t)strtoul(line, &end, 10)};
        fork.parent_timeline = (uint32_t)strtoul(end, &end, 10);
        fork.fork_lsn = strtoull(end, &end, 10);
        bool first = fork.parent_timeline == 0;
        driver->proof.doubted =
            driver->proof.doubted || (!first && !is_ordered(&driver->request, &fork));
        if (fork.fork_lsn <= driver->proof.end.lsn) {
            driver->proof.end.timeline = fork.timeline;
        }
    }
    return ERR_OK;
}

static bool is_ours(const struct keyvalue_driver *driver)
{
    const struct start_place place = {
        .data = driver->data, .state = driver->state, .user = &driver->user};
    char path[KEYVALUE_PATH_SIZE * 2];
    struct guard_folder folder;
    start_nonce_read(&place, &folder);
    (void)snprintf(path, sizeof(path), "%s/indaba.start", driver->data);
    return folder.nonce != 0 || access(path, F_OK) != 0;
}

/* On record, or the one that was ordered here last. */
static bool is_ordered(const struct driver_request *request, const struct fork *fork)
{
    const struct goal *goal = &request->goal;
    for (uint32_t i = 0; i < goal->history_count; i++) {
        const struct fork *known = &goal->history[i];
        if (known->timeline == fork->timeline && known->parent_timeline == fork->parent_timeline &&
            known->fork_lsn == fork->fork_lsn) {
            return true;
        }
    }
    return request->office.timeline == fork->timeline;
}
