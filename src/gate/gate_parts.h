/* SPDX-License-Identifier: Apache-2.0 */
/* What the module's files share. Nobody else includes this. */
#ifndef INDABA_GATE_GATE_PARTS_H
#define INDABA_GATE_GATE_PARTS_H

#include "gate/gate_page.h"

/* Before everything else of PostgreSQL. */
#include <postgres.h>

/* Its headers are not needed for what is used of a Port: the struct is the same without them. */
#undef ENABLE_GSS

#include <access/xlogdefs.h>

/* gate_verdict.c: what the page says. The postmaster maps it; children inherit the mapping. */
void gate_map_page(void);
bool gate_is_in_force(void); /* there is a page */
/* NULL if this very instant may be written and answered, or why not. */
const char *gate_why_not(void);
/* False if the page cannot be read. */
bool gate_view(struct gate_view *view_out);
/* By what it is, this process answers nobody, or is the sidecar's own session. */
bool gate_is_exempt(void);

/* gate_children.c: no child outlives its postmaster. */
void gate_watch_children(void);
void gate_bind_child(void);

/* gate_commit.c: the checks around a commit. */
void gate_watch_commits(void);
/* Before something that cannot be taken back: an error if it may not be answered; and commits of
 * this transaction wait for the members' disks, whatever the session asked for. */
void gate_before(const char *what);
/* It is done, and its record ends at or below `lsn`: waits until it may be answered, or sees to it
 * that nobody is answered. */
void gate_after(XLogRecPtr lsn);

/* gate_answers.c: nothing more is sent. */
void gate_watch_answers(void);
void gate_owe_answer(void);
void gate_silence(const char *why);

/* gate_statements.c: what acts inside the statement, and what only the sidecar may order. */
void gate_watch_statements(void);

/* gate_senders.c: who streams from us, by the name under which it was let in. */
void gate_watch_senders(void);
void gate_note_sender(void);
/* How many distinct members of the record have flushed up to `lsn`. */
uint32_t gate_count_flushed(const struct gate_view *view, XLogRecPtr lsn);

#endif
