/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.reflection.v1 and v1alpha for a server: what its services and messages are, so that stock
 * tools need no .proto files. Answers from a FileDescriptorSet made at build time; lists only
 * services of which the server has a method. */
#ifndef INDABA_RPC_REFLECTION_H
#define INDABA_RPC_REFLECTION_H

#include "rpc/server.h"

struct reflection;

enum {
    REFLECTION_FILES_MAX = 64
};

/* Adds its methods to the server. `descriptors` is a serialized google.protobuf.FileDescriptorSet
 * of our own making, complete with imports, and outlives the result. */
struct reflection *reflection_new(struct server *server, struct slice descriptors);
/* Before or after server_free, but after its calls were cancelled or drained. */
void reflection_free(struct reflection *reflection);

#endif
