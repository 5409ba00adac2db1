/* SPDX-License-Identifier: Apache-2.0 */
/* Whether timers are long enough for the round trips between members. Heartbeats closer together
 * than their answers come, or elections that begin while a healthy leader's heartbeat is under way,
 * depose leaders for nothing. Pure. */
#ifndef INDABA_NODE_TIMERS_FIT_H
#define INDABA_NODE_TIMERS_FIT_H

#include "model/records.h"

#include <stdbool.h>
#include <stdint.h>

/* `rtt_us` is the longest round trip; 0, not known: they fit. */
bool timers_fit(uint32_t rtt_us, uint32_t heartbeat_ms, uint32_t election_ms);
/* For an operator: what is too short and what is needed; "" if they fit. `text` has TEXT_SIZE. */
void timers_fit_text(uint32_t rtt_us, uint32_t heartbeat_ms, uint32_t election_ms, char *text);
/* The command that sets what is needed. The same. */
void timers_fit_command(uint32_t rtt_us, uint32_t heartbeat_ms, uint32_t election_ms, char *text);

#endif
