/* SPDX-License-Identifier: Apache-2.0 */
/* The services of proto/indaba/v1 on a member, reflection, and the sessions of sidecars. A unary
 * request may be made of any member: what needs the leader is passed on to it, once. Loop thread.
 */
#ifndef INDABA_API_API_H
#define INDABA_API_API_H

#include "api/front.h"

struct api;

/* Adds its methods to the front's server. The front outlives it. */
struct api *api_new(struct front *front);
/* Ends the sidecars' sessions. Before front_drain. */
void api_drain(struct api *api);
/* After front_cut, so that no call is left. */
void api_free(struct api *api);
/* How many sidecars have a session open. */
uint32_t api_sessions_count(const struct api *api);

#endif
