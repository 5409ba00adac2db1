/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_error.h. */
#include "etcd/etcd_error.h"

#include "base/check.h"

#include <string.h>

struct row {
    enum grpc_status status;
    const char *text;
};

static const struct row rows[ETCD_ERROR_COUNT] = {
#define X(name, status, text) [name] = {status, text},
    ETCD_ERROR_TABLE(X)
#undef X
};

enum grpc_status etcd_error_status(enum etcd_error error)
{
    CHECK((unsigned)error < ETCD_ERROR_COUNT);
    return rows[error].status;
}

const char *etcd_error_text(enum etcd_error error)
{
    CHECK((unsigned)error < ETCD_ERROR_COUNT);
    return rows[error].text;
}

enum etcd_error etcd_error_of_text(const char *text)
{
    for (unsigned i = 0; i < ETCD_ERROR_COUNT; i++) {
        if (strcmp(rows[i].text, text) == 0) {
            return (enum etcd_error)i;
        }
    }
    return ETCD_ERROR_COUNT;
}
