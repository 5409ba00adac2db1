/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and names of the error enum, both made from its one table. */
#include "base/error.h"

#include "base/check.h"

#include <errno.h>

enum {
    ERROR_PREFIX_LEN = 4
}; /* "ERR_" */

static const char *const texts[] = {
#define X(name, text) [name] = (text),
    ERROR_TABLE(X)
#undef X
};

/* The order of ERROR_TABLE; a test compares each with the enum's name, so that a new error cannot
 * be forgotten here. */
static const char *const names[] = {
    "ok",
    "invalid",
    "range",
    "limit",
    "not_found",
    "exists",
    "precondition",
    "io",
    "no_space",
    "corrupt",
    "protocol",
    "truncated",
    "version",
    "closed",
    "refused",
    "timeout",
    "cancelled",
    "unavailable",
    "exhausted",
    "not_leader",
    "stale_leader",
    "stale_epoch",
    "stale_goal",
    "outcome_unknown",
    "denied",
    "unauthenticated",
    "unimplemented",
    "wrong_cluster",
    "wrong_member",
    "busy",
    "config",
    "not_regular",
    "system",
    "internal",
};

_Static_assert(ARRAY_LEN(texts) == ERROR_COUNT, "each error has a text");
_Static_assert(ARRAY_LEN(names) == ERROR_COUNT, "each error has a name");

const char *error_text(enum error error)
{
    if ((unsigned)error >= ERROR_COUNT) {
        return "unknown error";
    }
    return texts[error];
}

const char *error_name(enum error error)
{
    if ((unsigned)error >= ERROR_COUNT) {
        return "unknown";
    }
    return names[error];
}

enum error error_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return ERR_OK;
    case EINVAL:
        return ERR_INVALID;
    case ERANGE:
    case EOVERFLOW:
        return ERR_RANGE;
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EIO:
        return ERR_IO;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_NO_SPACE;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
        return ERR_CLOSED;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELLED;
    case EAGAIN:
    case EINTR:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
        return ERR_UNAVAILABLE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        return ERR_EXHAUSTED;
    case EPERM:
    case EACCES:
    case EROFS:
        return ERR_DENIED;
    case EBUSY:
    case EADDRINUSE:
    case ETXTBSY:
        return ERR_BUSY;
    default: /* errno is no enum of ours: the rest of the system's list */
        return ERR_SYSTEM;
    }
}
