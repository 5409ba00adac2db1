/* SPDX-License-Identifier: Apache-2.0 */
/* Places where a test build can be made to crash, to sleep or to fail, and where any other build
 * has nothing: without -DFAILPOINTS these are empty, and only tests/failpoints defines what they
 * call. Names are literals, each used once; jepsen/failpoints.py says how each of them is reached.
 */
#ifndef INDABA_BASE_FAILPOINT_H
#define INDABA_BASE_FAILPOINT_H

#include "base/error.h"

#ifdef FAILPOINTS

#include <stdatomic.h>
#include <stdbool.h>

struct failpoint {
    const char *name;
    bool can_fail; /* it has an error to give back */
    _Atomic unsigned hits;
};

/* May not return; may take a while. */
void failpoint_hit(struct failpoint *point);

/* Of a call that may fail. `enter` true: the call is not to be made, and `leave` says what failed.
 */
bool failpoint_enter(struct failpoint *point);
enum error failpoint_leave(struct failpoint *point, enum error error);
enum error failpoint_error(void);

/* The linker gathers all of them. */
#define FAILPOINT_HERE(text, fails)                                              \
    __extension__({                                                              \
        static struct failpoint here_                                            \
            __attribute__((section("failpoints"), used)) = {(text), (fails), 0}; \
        &here_;                                                                  \
    })

#define FAILPOINT(name)               failpoint_hit(FAILPOINT_HERE(name, false))
#define FAILPOINT_IF(condition, name) ((condition) ? FAILPOINT(name) : (void)0)
#define FAILPOINT_AROUND(name, call)                                                          \
    failpoint_leave(FAILPOINT_HERE(name ".after", true),                                      \
                    failpoint_enter(FAILPOINT_HERE(name ".before", true)) ? failpoint_error() \
                                                                          : (call))

#else

/* A place by itself; the same, if something is so; before and after a call that gives an enum
 * error, as NAME.before and NAME.after. */
#define FAILPOINT(name)               ((void)0)
#define FAILPOINT_IF(condition, name) ((void)(condition))
#define FAILPOINT_AROUND(name, call)  (call)

#endif

#endif
