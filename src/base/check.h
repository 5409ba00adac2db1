/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions that stay on in release. A CHECK states what must be true of our own code; it never
 * guards input from outside. On failure it prints the fact, the place and a backtrace to stderr,
 * runs the hook, and aborts: a member or sidecar that doubts itself stops. */
#ifndef INDABA_BASE_CHECK_H
#define INDABA_BASE_CHECK_H

#define CHECK(condition)                                            \
    do {                                                            \
        if (__builtin_expect(!(condition), 0)) {                    \
            check_failed(#condition, __FILE__, __LINE__, __func__); \
        }                                                           \
    } while (0)

/* For code that cannot be reached; says why. */
#define UNREACHABLE(why) check_failed("unreachable: " why, __FILE__, __LINE__, __func__)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

__attribute__((noreturn, cold)) void
check_failed(const char *condition, const char *file, int line, const char *function);

/* A function that runs once before the abort of a failed CHECK (a member shuts its sockets down
 * there, so that peers see its end at once: safety.md 6). Must be async-signal-safe. NULL clears.
 */
void check_set_hook(void (*hook)(void));

#endif
