/* SPDX-License-Identifier: Apache-2.0 */
/* The sessions of sidecars: hellos, reports and renewals to the controller, its goals and answers
 * back. Only the member in office has any. Loop thread. */
#ifndef INDABA_API_SESSIONS_H
#define INDABA_API_SESSIONS_H

#include "api/front.h"

struct sessions;

struct sessions *sessions_new(struct front *front);
/* After front_cut, so that no session is left. */
void sessions_free(struct sessions *sessions);
uint32_t sessions_count(const struct sessions *sessions);
/* Ends all of them: the sidecars go to the next leader. */
void sessions_end(struct sessions *sessions);
/* The server_method of the session stream. */
struct server_method sessions_method(struct sessions *sessions);

#endif
