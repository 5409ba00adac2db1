/* SPDX-License-Identifier: Apache-2.0 */
/* The part of EDN that histories are written in: nil, booleans, integers, keywords, strings,
 * vectors and lists, sets, maps. A value is read whole; whatever else there is, is refused with its
 * place. */
#ifndef INDABA_TESTS_SUPPORT_EDN_H
#define INDABA_TESTS_SUPPORT_EDN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum edn_kind {
    EDN_NIL,
    EDN_BOOL,
    EDN_INT,
    EDN_KEYWORD, /* `text` without its colon */
    EDN_STRING,
    EDN_VECTOR, /* and lists */
    EDN_SET,
    EDN_MAP, /* key, value, key, value */
};

struct edn {
    enum edn_kind kind;
    int64_t number; /* of booleans 0 or 1 */
    char *text;
    struct edn *items;
    size_t items_count;
};

/* One value at the start of `text`; what is behind it is told by `end_out`. False: it is none, and
 * `*end_out` is where that shows. The caller calls edn_deinit in either case. */
bool edn_read(const char *text, struct edn *value_out, const char **end_out);
void edn_deinit(struct edn *value);

/* NULL if it is no map, or has no such keyword as a key. */
const struct edn *edn_get(const struct edn *map, const char *keyword);
bool edn_is_keyword(const struct edn *value, const char *keyword);
/* True, and the number, if it is one. */
bool edn_int(const struct edn *value, int64_t *out);

#endif
