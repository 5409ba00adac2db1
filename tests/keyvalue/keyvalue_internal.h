/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by keyvalue_driver.c (table, looks, facts), keyvalue_act.c (what it does) and
 * keyvalue_ask.c (one line to a server, one line back). */
#ifndef INDABA_TESTS_KEYVALUE_KEYVALUE_INTERNAL_H
#define INDABA_TESTS_KEYVALUE_KEYVALUE_INTERNAL_H

#include "base/buf.h"
#include "replication/driver.h"

#include <limits.h>

enum {
    KEYVALUE_PATH_SIZE = 512,
    KEYVALUE_LINE_SIZE = 1024,
    KEYVALUE_ASK_MS = 1000,
    KEYVALUE_COPY_MAX = 64 * 1024 * 1024,
};

/* What INFO says. */
struct keyvalue_info {
    bool known;
    uint64_t identity;
    bool writable;
    struct fork fork; /* of what it holds; epoch unused */
    uint64_t end;
    char upstream[ADDRESS_SIZE]; /* "": nobody */
    struct instance_id of;
    bool receiving;
    bool streaming;
    uint32_t silence_ms;
    char standbys[KEYVALUE_LINE_SIZE]; /* NAME:HELD, by commas */
};

struct keyvalue_driver {
    struct driver base; /* first */
    char data[KEYVALUE_PATH_SIZE];
    char data_new[KEYVALUE_PATH_SIZE];
    char run[KEYVALUE_PATH_SIZE];
    char state[KEYVALUE_PATH_SIZE];
    char log[KEYVALUE_PATH_SIZE];
    char stranded[KEYVALUE_PATH_SIZE];
    char start[KEYVALUE_PATH_SIZE]; /* the file that says how it starts */
    char server[KEYVALUE_PATH_SIZE];
    char address[ADDRESS_SIZE];
    char host[ADDRESS_SIZE];
    char port[8];
    struct os_user user;

    struct keyvalue_info looked;   /* the probe thread's while it looks */
    struct keyvalue_info info;     /* the newest of the process that runs */
    struct driver_request request; /* the action thread's while it acts */

    struct {
        bool known;
        uint64_t starts; /* … of the folder that was left by that start */
        bool doubted;
        struct position end; /* where it ends */
    } proof;

    bool final_known; /* of the process that runs: cut, and seen to stand still */
};

/* Sends `line` (without its end), returns the answer without its own. Blocks, on any thread. */
MUST_CHECK enum error keyvalue_ask(struct work *work,
                                   const char *address,
                                   const char *line,
                                   char answer[KEYVALUE_LINE_SIZE]);
/* All that is sent until the other side ends. */
MUST_CHECK enum error
keyvalue_fetch(struct work *work, const char *address, const char *line, struct buf *out);
MUST_CHECK enum error
keyvalue_info(struct work *work, const char *address, struct keyvalue_info *info_out);

/* Does the folder hold the shard's history alone? */
enum error keyvalue_prove(struct work *work, struct keyvalue_driver *driver);

enum error keyvalue_act(struct work *work, struct driver *base, struct guard_start *start_out);

#endif
