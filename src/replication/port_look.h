/* SPDX-License-Identifier: Apache-2.0 */
/* How the primary's database port looks from here: again and again a new TCP connection and a
 * greeting that any server of its kind answers, so that one that hangs is told from one that is
 * gone. On the loop; addresses are numeric, so nothing blocks. */
#ifndef INDABA_REPLICATION_PORT_LOOK_H
#define INDABA_REPLICATION_PORT_LOOK_H

#include "base/buf.h"
#include "model/report.h"

struct uv_loop_s;
struct port_look;

struct port_look_options {
    struct uv_loop_s *loop;
    struct slice greeting; /* borrowed for as long as it lives */
    void (*on_change)(void *ctx);
    void *ctx;
};

struct port_look *port_look_new(const struct port_look_options *options);
void port_look_free(struct port_look *reach, void (*closed)(void *ctx), void *ctx);
/* Whom to look at from now on; instance 0: nobody. */
void port_look_target(struct port_look *reach, struct instance_id instance, const char *address);
/* What was seen last, of whom, and for how long it has been so. */
enum reach port_look_get(const struct port_look *reach,
                         struct instance_id *instance_out,
                         uint32_t *for_ms_out);

#endif
