/* SPDX-License-Identifier: Apache-2.0 */
/* See wire_descriptors.h. The bytes are written by the build (tools/make/sources.mk). */
#include "wire/wire_descriptors.h"

#include "indaba/descriptors.h"

struct slice wire_descriptors(void)
{
    return slice_of(proto_descriptors, sizeof(proto_descriptors));
}
