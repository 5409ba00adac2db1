/* SPDX-License-Identifier: Apache-2.0 */
/* See keyvalue_driver.h: its table, looks and facts. */
#include "tests/keyvalue/keyvalue_driver.h"

#include "base/check.h"
#include "base/mem.h"
#include "replication/start_nonce.h"
#include "tests/keyvalue/keyvalue_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROBE_MS = 100,
    CAUGHT_UP_BYTES = 4096,
};

static bool make(const struct sidecar_config *config,
                 struct reason *reason,
                 struct sidecar_database *database_out);
static void argv(const struct driver *base, const char **argv_out);
static void
look(struct work *work, struct driver *base, bool running, struct driver_look *look_out);
static bool has_folder(const struct keyvalue_driver *driver);
static void take_goal(struct driver *base, const struct goal *goal);
static void begin_look(struct driver *base);
static void looked(struct driver *base, const struct driver_seen *seen);
static void
begin(struct driver *base, const struct driver_request *request, const struct driver_now *now);
static void acted(struct driver *base, enum error error, uint64_t ended_ms);
static void
facts(const struct driver *base, const struct driver_now *now, struct keeper_facts *facts_out);
static void fill_standbys(const struct keyvalue_info *info, struct keeper_facts *facts_out);
static void free_driver(struct driver *base);

const struct sidecar_kind SIDECAR_KEYVALUE = {.name = "keyvalue", .make = make};

static const uint8_t GREETING[] = {'P', 'I', 'N', 'G', '\n'};

static const struct driver_kind KEYVALUE_DRIVER = {
    .name = "keyvalue",
    .stop_signal = SIGTERM,
    .greeting = GREETING,
    .greeting_len = sizeof(GREETING),
    .argv = argv,
    .look = look,
    .act = keyvalue_act,
    .goal = take_goal,
    .begin_look = begin_look,
    .looked = looked,
    .begin = begin,
    .acted = acted,
    .facts = facts,
    .free = free_driver,
};

static bool make_folder(const char *dir, const char *name, char path[KEYVALUE_PATH_SIZE])
{
    int len = snprintf(path, KEYVALUE_PATH_SIZE, "%s/%s", dir, name);
    return len < KEYVALUE_PATH_SIZE && (mkdir(path, 0700) == 0 || errno == EEXIST);
}

static bool make(const struct sidecar_config *config,
                 struct reason *reason,
                 struct sidecar_database *database_out)
{
    struct keyvalue_driver *driver = mem_new(sizeof(*driver));
    const char *server = getenv("KEYVALUE_SERVER"); /* NOLINT(concurrency-mt-unsafe) */
    const char *colon = strrchr(config->address, ':');
    bool made = (mkdir(config->dir, 0700) == 0 || errno == EEXIST) &&
                make_folder(config->dir, "run", driver->run) &&
                make_folder(config->dir, "state", driver->state) &&
                make_folder(config->dir, "log", driver->log) &&
                make_folder(config->dir, "stranded", driver->stranded);
    if (!made || server == NULL || colon == NULL || os_user_find("", &driver->user) != ERR_OK) {
        reason_say(reason, "%s: cannot be used, or KEYVALUE_SERVER is not set", config->dir);
        mem_free(driver);
        return false;
    }
    driver->base.kind = &KEYVALUE_DRIVER;
    (void)snprintf(driver->data, sizeof(driver->data), "%.400s/data", config->dir);
    (void)snprintf(driver->data_new, sizeof(driver->data_new), "%.400s/data.new", config->dir);
    (void)snprintf(driver->start, sizeof(driver->start), "%.400s/start", driver->run);
    (void)snprintf(driver->server, sizeof(driver->server), "%s", server);
    memcpy(driver->address, config->address, sizeof(driver->address));
    (void)snprintf(driver->host,
                   sizeof(driver->host),
                   "%.*s",
                   (int)(colon - config->address),
                   config->address);
    (void)snprintf(driver->port, sizeof(driver->port), "%.6s", colon + 1);
    *database_out = (struct sidecar_database){
        .driver = &driver->base,
        .place = {.run = driver->run,
                  .state = driver->state,
                  .data = driver->data,
                  .log = driver->log,
                  .user = ""},
        .probe_ms = PROBE_MS,
        .has_data = has_folder(driver),
    };
    return true;
}

static void argv(const struct driver *base, const char **argv_out)
{
    const struct keyvalue_driver *driver = (const struct keyvalue_driver *)(const void *)base;
    const char *const words[] = {"/usr/bin/python3",
                                 driver->server,
                                 driver->data,
                                 driver->host,
                                 driver->port,
                                 driver->start,
                                 NULL};
    memcpy(argv_out, words, sizeof(words));
}

/* On the probe thread. */
static void look(struct work *work, struct driver *base, bool running, struct driver_look *look_out)
{
    struct keyvalue_driver *driver = (struct keyvalue_driver *)base;
    driver->looked = (struct keyvalue_info){0};
    look_out->folder = has_folder(driver);
    if (!running) {
        const struct start_place place = {
            .data = driver->data, .state = driver->state, .user = &driver->user};
        start_nonce_read(&place, &look_out->left);
    } else if (keyvalue_info(work, driver->address, &driver->looked) == ERR_OK) {
        look_out->answer = DRIVER_ANSWERS;
        look_out->writable = driver->looked.writable;
    }
}

static bool has_folder(const struct keyvalue_driver *driver)
{
    char path[KEYVALUE_PATH_SIZE * 2];
    (void)snprintf(path, sizeof(path), "%s/identity", driver->data);
    return access(path, F_OK) == 0;
}

static void take_goal(struct driver *base, const struct goal *goal)
{
    (void)base;
    (void)goal;
}

static void begin_look(struct driver *base)
{
    (void)base;
}

static void looked(struct driver *base, const struct driver_seen *seen)
{
    struct keyvalue_driver *driver = (struct keyvalue_driver *)base;
    if (seen->current && seen->first) {
        driver->final_known = false;
    }
    if (seen->current && driver->looked.known) {
        driver->info = driver->looked;
    }
}

static void
begin(struct driver *base, const struct driver_request *request, const struct driver_now *now)
{
    struct keyvalue_driver *driver = (struct keyvalue_driver *)base;
    driver->request = *request;
    if (request->kind == KEEPER_PROVE || request->kind == KEEPER_START ||
        request->kind == KEEPER_REBUILD || request->kind == KEEPER_CLONE) {
        driver->proof.known = false;
        driver->proof.starts = now->starts;
    }
    if (request->kind == KEEPER_FOLLOW || request->kind == KEEPER_START) {
        driver->final_known = false;
    }
}

static void acted(struct driver *base, enum error error, uint64_t ended_ms)
{
    struct keyvalue_driver *driver = (struct keyvalue_driver *)base;
    enum keeper_action_kind kind = driver->request.kind;
    (void)ended_ms;
    if (error == ERR_OK && (kind == KEEPER_CUT || kind == KEEPER_FINAL_POSITION)) {
        driver->final_known = true;
    }
    driver->proof.known = driver->proof.known || (error == ERR_OK && kind == KEEPER_PROVE);
}

static void
facts(const struct driver *base, const struct driver_now *now, struct keeper_facts *facts_out)
{
    const struct keyvalue_driver *driver = (const struct keyvalue_driver *)(const void *)base;
    const struct keyvalue_info *info = &driver->info;
    struct position position = {.timeline = info->fork.timeline, .lsn = info->end};
    facts_out->system_identifier = info->identity;
    if (now->state == INSTANCE_STOPPED && driver->proof.known &&
        driver->proof.starts == now->starts) {
        facts_out->lineage = driver->proof.doubted ? LINEAGE_DOUBTED : LINEAGE_PROVEN;
        facts_out->proven_from = driver->proof.doubted ? (struct position){0} : driver->proof.end;
    }
    if (!now->of_now) {
        return;
    }
    facts_out->position = position;
    facts_out->held = position;
    if (now->state == INSTANCE_STANDBY) {
        facts_out->lineage = LINEAGE_PROVEN; /* it follows nobody but whom it is told */
        facts_out->conninfo_of = info->of;
        memcpy(facts_out->conninfo_address, info->upstream, ADDRESS_SIZE);
        facts_out->receiver_running = info->receiving;
        facts_out->receiver_streaming = info->streaming;
        facts_out->receiver_silence_ms = info->silence_ms;
        facts_out->position_final = driver->final_known && info->of.value == 0 && !info->receiving;
    } else if (now->state == INSTANCE_PRIMARY && info->writable) {
        facts_out->fork = info->fork;
        facts_out->acked = position;
        fill_standbys(info, facts_out);
    }
}

/* NAME:HELD, as prepare() in keyvalue_act.c names them. */
static void fill_standbys(const struct keyvalue_info *info, struct keeper_facts *facts_out)
{
    char text[KEYVALUE_LINE_SIZE];
    memcpy(text, info->standbys, sizeof(text));
    for (char *at = text, *word; (word = strsep(&at, ",")) != NULL && word[0] != '\0';) {
        char *end = NULL;
        struct sync_member member = {.instance.value = (uint32_t)strtoul(word, &end, 10)};
        member.incarnation.value = *end == '-' ? strtoull(end + 1, &end, 16) : 0;
        uint64_t held = *end == ':' ? strtoull(end + 1, &end, 10) : 0;
        if (*end != '\0' || member.incarnation.value == 0 ||
            facts_out->streaming_count == SYNC_SET_MAX) {
            continue;
        }
        facts_out->streaming[facts_out->streaming_count++] = member;
        if (held + CAUGHT_UP_BYTES >= info->end) {
            facts_out->caught_up[facts_out->caught_up_count++] = member;
        }
        marks_raise(&facts_out->confirmed,
                    member,
                    (struct position){.timeline = info->fork.timeline, .lsn = held});
    }
}

static void free_driver(struct driver *base)
{
    mem_free(base);
}
