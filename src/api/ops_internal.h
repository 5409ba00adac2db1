/* SPDX-License-Identifier: Apache-2.0 */
/* What ops.c (pages) and ops_metrics.c (figures) share. */
#ifndef INDABA_API_OPS_INTERNAL_H
#define INDABA_API_OPS_INTERNAL_H

#include "api/ops.h"
#include "node/node.h"
#include "rpc/http1.h"

struct http1;

struct ops {
    struct ops_options options;
    struct http1 *http;
    struct http1_page metrics;
    bool draining;
};

/* Once per process. */
void ops_metrics_register(void);
/* Looks at everything, then prints the whole exposition. */
void ops_metrics_print(const struct ops *ops, struct buf *out);

#endif
