/* SPDX-License-Identifier: Apache-2.0 */
/* The table of methods. */
#ifndef INDABA_ETCD_ETCD_METHODS_H
#define INDABA_ETCD_ETCD_METHODS_H

#include "etcd/etcd_op.h"

#define ETCD_KEEP_ALIVE "/etcdserverpb.Lease/LeaseKeepAlive"

/* NULL if there is none. */
const struct etcd_method *etcd_method_of_path(const char *path);
const struct etcd_method *etcd_method_of_code(uint32_t code);
const struct etcd_method *etcd_methods(size_t *count_out);

#endif
