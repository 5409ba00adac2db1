/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of operating failures. A function that can fail returns `enum error` and is marked
 * MUST_CHECK; its result leaves by the last `*_out` pointer, untouched on failure. Bugs are not
 * errors: they end in CHECK (base/check.h). Running out of memory is not an error either, see
 * base/mem.h. */
#ifndef INDABA_BASE_ERROR_H
#define INDABA_BASE_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))

/* clang-format off */
#define ERROR_TABLE(X)                                                                             \
    X(ERR_OK,               "ok")                                                                  \
    X(ERR_INVALID,          "invalid argument or value")                                           \
    X(ERR_RANGE,            "value out of range")                                                  \
    X(ERR_LIMIT,            "a stated limit would be exceeded")                                    \
    X(ERR_NOT_FOUND,        "not found")                                                           \
    X(ERR_EXISTS,           "already exists")                                                      \
    X(ERR_PRECONDITION,     "the state does not allow this now")                                   \
    X(ERR_IO,               "input/output error")                                                  \
    X(ERR_NO_SPACE,         "no space left")                                                       \
    X(ERR_CORRUPT,          "stored data is damaged")                                              \
    X(ERR_PROTOCOL,         "the other side broke the protocol")                                   \
    X(ERR_TRUNCATED,        "input ends too early")                                                \
    X(ERR_VERSION,          "unknown format or protocol version")                                  \
    X(ERR_CLOSED,           "closed")                                                              \
    X(ERR_REFUSED,          "connection refused")                                                  \
    X(ERR_TIMEOUT,          "deadline exceeded")                                                   \
    X(ERR_CANCELLED,        "cancelled")                                                           \
    X(ERR_UNAVAILABLE,      "unavailable now, try again")                                          \
    X(ERR_EXHAUSTED,        "a bounded resource is used up")                                       \
    X(ERR_NOT_LEADER,       "this member is not the leader")                                       \
    X(ERR_STALE_LEADER,     "the proposer is no longer the leader")                                \
    X(ERR_STALE_EPOCH,      "the epoch is not the current one")                                    \
    X(ERR_STALE_GOAL,       "the goal is older than one already obeyed")                           \
    X(ERR_OUTCOME_UNKNOWN,  "the outcome is not known")                                            \
    X(ERR_DENIED,           "permission denied")                                                   \
    X(ERR_UNAUTHENTICATED,  "no valid identity was presented")                                     \
    X(ERR_UNIMPLEMENTED,    "not implemented")                                                     \
    X(ERR_WRONG_CLUSTER,    "belongs to another cluster")                                          \
    X(ERR_WRONG_MEMBER,     "belongs to another member")                                           \
    X(ERR_BUSY,             "in use by another process or operation")                              \
    X(ERR_CONFIG,           "configuration is not valid")                                          \
    X(ERR_NOT_REGULAR,      "not a regular file")                                                  \
    X(ERR_SYSTEM,           "a system call failed")                                                \
    X(ERR_INTERNAL,         "internal error")

/* clang-format on */

enum error {
#define X(name, text) name,
    ERROR_TABLE(X)
#undef X
    ERROR_COUNT
};

/* The text of an error, for people. Never NULL; unknown values say so. */
const char *error_text(enum error error);

/* The enum's name without "ERR_", lower case ("stale_epoch"), for logs and JSON. Never NULL. */
const char *error_name(enum error error);

/* The error that stands for an errno value; ERR_SYSTEM where no better one fits. */
enum error error_from_errno(int errno_value);

/* Leave the function at once with the error of `call`; only where nothing is held. */
#define TRY(call)                       \
    do {                                \
        enum error try_error_ = (call); \
        if (try_error_ != ERR_OK) {     \
            return try_error_;          \
        }                               \
    } while (0)

#endif
