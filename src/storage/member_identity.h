/* SPDX-License-Identifier: Apache-2.0 */
/* Whose data folder this is: the file "identity", written once by format, a few lines that a person
 * can read, closed by a checksum. Pure. */
#ifndef INDABA_STORAGE_MEMBER_IDENTITY_H
#define INDABA_STORAGE_MEMBER_IDENTITY_H

#include "base/buf.h"
#include "base/ids.h"
#include "base/reason.h"

enum {
    MEMBER_IDENTITY_FORMAT = 1,
    MEMBER_NAME_SIZE = 64,
    /* The founding configuration, encoded: 16 servers take less than 1 KiB. */
    MEMBER_FOUNDING_MAX = 16 * 1024,
    MEMBER_IDENTITY_SIZE_MAX = 64 * 1024
};

struct member_identity {
    struct cluster_id cluster;
    struct member_id member;
    char name[MEMBER_NAME_SIZE]; /* 1–63 of a-z A-Z 0-9 . _ - */
    struct buf founding; /* the founding configuration as its owner encoded it; may be empty */
};

void member_identity_deinit(struct member_identity *identity);
bool member_name_is_valid(const char *name);

/* The file's text. */
void member_identity_encode(const struct member_identity *identity, struct buf *out);
/* ERR_CORRUPT (with what is wrong) or ERR_VERSION. The result is the caller's to deinit. */
MUST_CHECK enum error member_identity_decode(struct slice text,
                                             struct reason *reason,
                                             struct member_identity *identity_out);

#endif
