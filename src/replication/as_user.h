/* SPDX-License-Identifier: Apache-2.0 */
/* Files inside the data folder are the database's: whoever is superuser in it can put a link in the
 * place of any of them, also while we look. So this thread touches them with the rights of the
 * database's user and no more, wherever a link may lead. Folders that are not the database's (DIR
 * itself, run, log, state, stranded) are root's, and are touched as root. */
#ifndef INDABA_REPLICATION_AS_USER_H
#define INDABA_REPLICATION_AS_USER_H

#include "replication/work.h"

/* Of this thread alone, for accesses to files alone. Does nothing where we are that user already.
 * Not nested. */
void as_user_enter(const struct os_user *user);
void as_user_leave(const struct os_user *user);

/* Signals a process whose number the database told, if it is the user's own: the number can be a
 * lie, or of somebody else by now. False: nobody was signalled. */
bool as_user_signal(const struct os_user *user, pid_t pid, int number);

#endif
