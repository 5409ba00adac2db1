/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper asks of a key-value server, on the action thread. */
#include "tests/keyvalue/keyvalue_internal.h"

#include "base/check.h"
#include "base/ids.h"
#include "replication/durable_file.h"
#include "replication/start_nonce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error init(struct work *work, const struct keyvalue_driver *driver);
static enum error clone(struct work *work, const struct keyvalue_driver *driver);
static enum error build(struct work *work,
                        const struct keyvalue_driver *driver,
                        const char *identity,
                        struct slice history,
                        struct slice log);
static enum error
write_new(struct work *work, const struct keyvalue_driver *driver, const char *name, struct slice);
static enum error put_aside(struct work *work, const struct keyvalue_driver *driver);
static enum error
prepare(struct work *work, const struct keyvalue_driver *driver, struct guard_start *start_out);
static enum error tell(struct work *work, const struct keyvalue_driver *driver, const char *line);
static enum error follow(struct work *work, const struct keyvalue_driver *driver);
static enum error see_still(struct work *work, struct keyvalue_driver *driver);
static enum error promote(struct work *work, const struct keyvalue_driver *driver);

enum error keyvalue_act(struct work *work, struct driver *base, struct guard_start *start_out)
{
    struct keyvalue_driver *driver = (struct keyvalue_driver *)base;
    switch (driver->request.kind) {
    case KEEPER_INIT:
        return init(work, driver);
    case KEEPER_CLONE:
        return clone(work, driver);
    case KEEPER_PROVE:
        return keyvalue_prove(work, driver);
    case KEEPER_REBUILD:
        return put_aside(work, driver);
    case KEEPER_START:
        return prepare(work, driver, start_out);
    case KEEPER_FOLLOW:
        return follow(work, driver);
    case KEEPER_CUT:
        TRY(tell(work, driver, "CUT"));
        return see_still(work, driver);
    case KEEPER_FINAL_POSITION:
        return see_still(work, driver);
    case KEEPER_PROMOTE:
        return promote(work, driver);
    case KEEPER_STOP:
    case KEEPER_SET_SYNC:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_FENCE:
    case KEEPER_ACTION_COUNT:
        break;
    }
    UNREACHABLE("the engine asks for nothing else of what it can do");
}

static enum error init(struct work *work, const struct keyvalue_driver *driver)
{
    char identity[32];
    uint64_t value = 0;
    uint64_t unused = 0;
    id128_random(&value, &unused);
    (void)snprintf(identity, sizeof(identity), "%" PRIu64, value >> 1 | 1);
    return build(work, driver, identity, slice_of_string("1 0 0\n"), slice_of_string(""));
}

static enum error clone(struct work *work, const struct keyvalue_driver *driver)
{
    char identity[32] = "";
    size_t history = 0;
    size_t log = 0;
    struct buf copy = {0};
    enum error error = keyvalue_fetch(work, driver->request.upstream_address, "COPY", &copy);
    const uint8_t *end = copy.len > 0 ? memchr(copy.data, '\n', copy.len) : NULL;
    if (error == ERR_OK && end != NULL) {
        size_t head = (size_t)(end - copy.data) + 1;
        copy.data[head - 1] = '\0';
        bool whole = sscanf((const char *)copy.data, "OK %31s %zu %zu", identity, &history, &log) ==
                         3 && /* NOLINT(cert-err34-c) */
                     history <= copy.len - head &&
                     log == copy.len - head - history;
        error = whole ? build(work,
                              driver,
                              identity,
                              slice_of(copy.data + head, history),
                              slice_of(copy.data + head + history, log))
                      : work_fail(work, ERR_CORRUPT, "the copy is not whole");
    } else if (error == ERR_OK) {
        error = work_fail(work, ERR_UNAVAILABLE, "nothing was copied");
    }
    buf_deinit(&copy);
    return error;
}

/* Complete or not there: built beside, and renamed. */
static enum error build(struct work *work,
                        const struct keyvalue_driver *driver,
                        const char *identity,
                        struct slice history,
                        struct slice log)
{
    if (mkdir(driver->data_new, 0700) != 0 && errno != EEXIST) {
        return work_fail(work, error_from_errno(errno), "cannot make %.200s", driver->data_new);
    }
    TRY(write_new(work, driver, "identity", slice_of_string(identity)));
    TRY(write_new(work, driver, "history", history));
    TRY(write_new(work, driver, "log", log));
    if (rename(driver->data_new, driver->data) != 0) {
        return work_fail(work, error_from_errno(errno), "cannot rename %.200s", driver->data_new);
    }
    return durable_file_sync_dir(driver->run);
}

static enum error write_new(struct work *work,
                            const struct keyvalue_driver *driver,
                            const char *name,
                            struct slice content)
{
    char path[KEYVALUE_PATH_SIZE * 2];
    (void)snprintf(path, sizeof(path), "%s/%s", driver->data_new, name);
    enum error error = durable_file_write(path, content.data, content.len, NULL);
    return error == ERR_OK ? ERR_OK : work_fail(work, error, "cannot write %.200s", path);
}

static enum error put_aside(struct work *work, const struct keyvalue_driver *driver)
{
    char path[KEYVALUE_PATH_SIZE * 2];
    (void)snprintf(path,
                   sizeof(path),
                   "%s/epoch-%" PRIu64 "-%016" PRIx64,
                   driver->stranded,
                   driver->request.goal.epoch.value,
                   driver->request.incarnation.value);
    if (rename(driver->data, path) != 0) {
        return work_fail(work, error_from_errno(errno), "cannot rename %.200s", driver->data);
    }
    return durable_file_sync_dir(driver->stranded);
}

/* Of whom it is to be a standby, and under which name. */
static enum error
prepare(struct work *work, const struct keyvalue_driver *driver, struct guard_start *start_out)
{
    const struct driver_request *request = &driver->request;
    const struct start_place place = {
        .data = driver->data, .state = driver->state, .user = &driver->user};
    char line[KEYVALUE_LINE_SIZE];
    bool follows = request->upstream.value != 0;
    int len = snprintf(line,
                       sizeof(line),
                       "%s %" PRIu32 " %" PRIu32 "-%016" PRIx64 "\n",
                       follows ? request->upstream_address : "-",
                       request->upstream.value,
                       request->goal.instance.value,
                       request->incarnation.value);
    enum error error = durable_file_write(driver->start, line, (size_t)len, NULL);
    if (error != ERR_OK) {
        return work_fail(work, error, "cannot write %.200s", driver->start);
    }
    return start_nonce_stamp(work, &place, start_out);
}

static enum error tell(struct work *work, const struct keyvalue_driver *driver, const char *line)
{
    char answer[KEYVALUE_LINE_SIZE];
    enum error error = keyvalue_ask(work, driver->address, line, answer);
    if (error != ERR_OK) {
        return work_fail(work, error, "%.40s: %s", line, error_text(error));
    }
    return strcmp(answer, "OK") == 0
               ? ERR_OK
               : work_fail(work, ERR_PRECONDITION, "%.40s: %.100s", line, answer);
}

static enum error follow(struct work *work, const struct keyvalue_driver *driver)
{
    char line[KEYVALUE_LINE_SIZE];
    char host[ADDRESS_SIZE];
    (void)snprintf(host, sizeof(host), "%s", driver->request.upstream_address);
    char *colon = strrchr(host, ':');
    CHECK(colon != NULL);
    *colon = ' ';
    (void)snprintf(line, sizeof(line), "FOLLOW %s %" PRIu32, host, driver->request.upstream.value);
    return tell(work, driver, line);
}

/* Nobody is followed, and nothing is received: where it stands, it stays. */
static enum error see_still(struct work *work, struct keyvalue_driver *driver)
{
    struct keyvalue_info info = {0};
    enum error error = keyvalue_info(work, driver->address, &info);
    if (error != ERR_OK) {
        return work_fail(work, error, "INFO: %s", error_text(error));
    }
    if (info.writable || info.receiving || info.upstream[0] != '\0') {
        return work_fail(work, ERR_UNAVAILABLE, "it follows somebody still");
    }
    return ERR_OK;
}

static enum error promote(struct work *work, const struct keyvalue_driver *driver)
{
    char line[KEYVALUE_LINE_SIZE];
    (void)snprintf(line, sizeof(line), "PROMOTE %" PRIu32, driver->request.goal.timeline);
    return tell(work, driver, line);
}
