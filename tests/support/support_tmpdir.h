/* SPDX-License-Identifier: Apache-2.0 */
/* Folders for tests, on a real disk (not tmpfs, where fdatasync means nothing). */
#ifndef INDABA_SUPPORT_SUPPORT_TMPDIR_H
#define INDABA_SUPPORT_SUPPORT_TMPDIR_H

/* A new, empty folder under /var/tmp; `purpose` becomes part of its name. The path belongs to the
 * fixture and lasts until the process ends; the folder is then removed with all that is in it,
 * unless KEEP=1 is set. Fails the test when it cannot be made. Not thread safe. */
const char *support_tmpdir(const char *purpose);

/* Removes a folder and what is in it; what is not there is no error. */
void support_remove_tree(const char *path);

#endif
