/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the rows share. Nobody else includes this. */
#ifndef INDABA_STATE_ROW_INTERNAL_H
#define INDABA_STATE_ROW_INTERNAL_H

#include "base/buf.h"
#include "state/row.h"

uint32_t get_count(struct reader *reader, uint32_t max);
void get_marks(struct reader *reader, struct marks *marks);
struct position get_position(struct reader *reader);
void get_report(struct reader *reader, struct final_report *report);
void put_marks(struct buf *buf, const struct marks *marks);
void put_position(struct buf *buf, struct position position);
void put_report(struct buf *buf, const struct final_report *report);
void row_close(const struct reader *reader);
struct reader row_open(struct slice bytes, uint8_t newest);

#endif
