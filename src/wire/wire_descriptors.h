/* SPDX-License-Identifier: Apache-2.0 */
/* What proto/ declares, as a serialized google.protobuf.FileDescriptorSet made at build time: the
 * public files and their imports, for reflection. */
#ifndef INDABA_WIRE_WIRE_DESCRIPTORS_H
#define INDABA_WIRE_WIRE_DESCRIPTORS_H

#include "base/buf.h"

/* Constant. */
struct slice wire_descriptors(void);

#endif
