/* SPDX-License-Identifier: Apache-2.0 */
/* The errors of etcd's API. Its clients tell them apart by their texts, so both the texts and the
 * status codes are etcd's; where ours differ, the comment says why. */
#ifndef INDABA_ETCD_ETCD_ERROR_H
#define INDABA_ETCD_ETCD_ERROR_H

#include "rpc/grpc.h"

/* clang-format off */
#define ETCD_ERROR_TABLE(X)                                                                        \
    X(ETCD_OK,              GRPC_OK,                  "")                                          \
    X(ETCD_EMPTY_KEY,       GRPC_INVALID_ARGUMENT,    "etcdserver: key is not provided")           \
    X(ETCD_KEY_NOT_FOUND,   GRPC_INVALID_ARGUMENT,    "etcdserver: key not found")                 \
    X(ETCD_VALUE_PROVIDED,  GRPC_INVALID_ARGUMENT,    "etcdserver: value is provided")             \
    X(ETCD_LEASE_PROVIDED,  GRPC_INVALID_ARGUMENT,    "etcdserver: lease is provided")             \
    X(ETCD_TOO_MANY_OPS,    GRPC_INVALID_ARGUMENT,                                                 \
      "etcdserver: too many operations in txn request")                                            \
    X(ETCD_DUPLICATE_KEY,   GRPC_INVALID_ARGUMENT,                                                 \
      "etcdserver: duplicate key given in txn request")                                            \
    X(ETCD_TOO_LARGE,       GRPC_INVALID_ARGUMENT,    "etcdserver: request is too large")          \
    X(ETCD_KEY_TOO_LONG,    GRPC_INVALID_ARGUMENT,                                                 \
      "etcdserver: the key is too long: at most 480 bytes are allowed here")                       \
    X(ETCD_INVALID,         GRPC_INVALID_ARGUMENT,    "etcdserver: invalid request")               \
    X(ETCD_COMPACTED,       GRPC_OUT_OF_RANGE,                                                     \
      "etcdserver: mvcc: required revision has been compacted")                                    \
    X(ETCD_FUTURE_REVISION, GRPC_OUT_OF_RANGE,                                                     \
      "etcdserver: mvcc: required revision is a future revision")                                  \
    X(ETCD_NO_SPACE,        GRPC_RESOURCE_EXHAUSTED,                                               \
      "etcdserver: mvcc: database space exceeded")                                                 \
    X(ETCD_REPLY_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,                                               \
      "etcdserver: the response would be too large: ask with a limit")                             \
    X(ETCD_TOO_MANY_KEYS,   GRPC_RESOURCE_EXHAUSTED,                                               \
      "etcdserver: the request looks at too many keys: ask for smaller ranges")                    \
    X(ETCD_TOO_MANY,        GRPC_RESOURCE_EXHAUSTED,  "etcdserver: too many requests")             \
    X(ETCD_LEASE_NOT_FOUND, GRPC_NOT_FOUND,           "etcdserver: requested lease not found")     \
    X(ETCD_LEASE_EXISTS,    GRPC_FAILED_PRECONDITION, "etcdserver: lease already exists")          \
    X(ETCD_LEASE_TTL,       GRPC_OUT_OF_RANGE,        "etcdserver: too large lease TTL")           \
    X(ETCD_MEMBER_NOT_FOUND, GRPC_NOT_FOUND,          "etcdserver: member not found")              \
    X(ETCD_BAD_TRANSFEREE,  GRPC_FAILED_PRECONDITION, "etcdserver: bad leader transferee")         \
    X(ETCD_DENIED,          GRPC_PERMISSION_DENIED,   "etcdserver: permission denied")             \
    X(ETCD_NO_LEADER,       GRPC_UNAVAILABLE,         "etcdserver: no leader")                     \
    X(ETCD_NOT_LEADER,      GRPC_FAILED_PRECONDITION, "etcdserver: not leader")                    \
    X(ETCD_SLOW_WATCHER,    GRPC_RESOURCE_EXHAUSTED,                                               \
      "etcdserver: the watcher does not read what it asked for")                                   \
    X(ETCD_STOPPED,         GRPC_UNAVAILABLE,         "etcdserver: server stopped")                \
    X(ETCD_TIMEOUT,         GRPC_UNAVAILABLE,         "etcdserver: request timed out")             \
    /* What became of a write is not known. etcd says UNAVAILABLE, which libraries repeat by      \
     * themselves; a repeated write may be done twice. Its own clients go by the text. */          \
    X(ETCD_OUTCOME_UNKNOWN, GRPC_UNKNOWN,                                                          \
      "etcdserver: request timed out, possibly due to previous leader failure")

/* clang-format on */

enum etcd_error {
#define X(name, status, text) name,
    ETCD_ERROR_TABLE(X)
#undef X
    ETCD_ERROR_COUNT
};

enum grpc_status etcd_error_status(enum etcd_error error);
/* Never NULL. */
const char *etcd_error_text(enum etcd_error error);
/* The error with this text; ETCD_ERROR_COUNT if there is none. */
enum etcd_error etcd_error_of_text(const char *text);

#endif
