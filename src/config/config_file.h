/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a configuration file, read whole and bounded: what a parser is given is never larger
 * than what a configuration can be, whatever the path leads to. */
#ifndef INDABA_CONFIG_CONFIG_FILE_H
#define INDABA_CONFIG_CONFIG_FILE_H

#include "base/buf.h"
#include "base/reason.h"

enum {
    CONFIG_FILE_MAX = 256 * 1024
};

/* Appends the file's bytes to `out`. On an error `reason` (`size` bytes) says which file, what is
 * wrong and what to do: ERR_NOT_FOUND and others of the system, ERR_CONFIG for what is no file
 * or is empty, ERR_LIMIT for one above CONFIG_FILE_MAX. Blocks. */
MUST_CHECK enum error config_file_read(const char *path, struct reason *reason, struct buf *out);

#endif
