/* SPDX-License-Identifier: Apache-2.0 */
/* See config_file.h. */
#include "config/config_file.h"

#include "base/plain_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum error config_file_read(const char *path, struct reason *reason, struct buf *out)
{
    size_t before = out->len;
    errno = 0;
    enum error error = plain_file_read(path, CONFIG_FILE_MAX, out);
    if (error == ERR_LIMIT) {
        reason_say(reason,
                   "%s: larger than %d KiB, which no configuration is: correct the path",
                   path,
                   CONFIG_FILE_MAX / 1024);
    } else if (error == ERR_NOT_REGULAR) {
        error = ERR_CONFIG;
        reason_say(reason, "%s: not a regular file", path);
    } else if (error != ERR_OK) {
        reason_say(reason, "%s: %s", path, errno == 0 ? error_text(error) : strerrordesc_np(errno));
    } else if (out->len == before) {
        /* The YAML library ends the process over it. */
        error = ERR_CONFIG;
        reason_say(reason, "%s: the file is empty", path);
    }
    return error;
}
