/* SPDX-License-Identifier: Apache-2.0 */
/* The marks that a sidecar knows, on disk: a small file in the state folder, checked by XXH3 and
 * replaced as a whole, about once a second while they move. Written on a thread: neither renewals
 * nor reports wait for it. A mark that is a second old is still a mark. */
#ifndef INDABA_REPLICATION_MARKS_FILE_H
#define INDABA_REPLICATION_MARKS_FILE_H

#include "model/marks.h"

/* ERR_NOT_FOUND: never written. ERR_CORRUPT: damaged; ERR_VERSION: of a later version. */
MUST_CHECK enum error marks_file_load(const char *path, struct marks *marks_out);
MUST_CHECK enum error marks_file_save(const char *path, const struct marks *marks);

struct uv_loop_s;
struct marks_keeper;

/* Saves to `path` (copied) what it is given. */
struct marks_keeper *marks_keeper_new(struct uv_loop_s *loop, const char *path);
/* Begins to save them unless they are saved, or were less than a second ago. Never waits. */
void marks_keeper_give(struct marks_keeper *keeper, const struct marks *marks);
/* `closed` comes from the loop; what is being written is finished first. */
void marks_keeper_free(struct marks_keeper *keeper, void (*closed)(void *ctx), void *ctx);

#endif
