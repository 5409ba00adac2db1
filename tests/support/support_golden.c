/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, compares, shows the first difference, or writes anew. */
#include "tests/support/support_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_file(const char *path, struct slice text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(text.data, 1, text.len, file) != text.len || fclose(file) != 0) {
        fail_msg("cannot write %s", path);
    }
    print_message("%s is written anew\n", path);
}

static struct buf read_file(const char *path)
{
    struct buf text = {0};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("cannot read %s; GOLDEN_UPDATE=1 writes it", path);
        return text;
    }
    char chunk[4096];
    size_t got = 0;
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_append(&text, chunk, got);
    }
    (void)fclose(file);
    return text;
}

static size_t line_len(struct slice text, size_t start)
{
    size_t end = start;
    while (end < text.len && text.data[end] != '\n') {
        end++;
    }
    return end - start;
}

static void show_difference(const char *path, struct slice expected, struct slice text)
{
    size_t start = 0;
    unsigned line = 1;
    for (size_t i = 0; i < expected.len && i < text.len && expected.data[i] == text.data[i]; i++) {
        if (text.data[i] == '\n') {
            start = i + 1;
            line++;
        }
    }
    int expected_len = start < expected.len ? (int)line_len(expected, start) : 0;
    int text_len = start < text.len ? (int)line_len(text, start) : 0;
    fail_msg("%s:%u\n  expected: %.*s\n  got:      %.*s",
             path,
             line,
             expected_len,
             (const char *)expected.data + (expected_len > 0 ? start : 0),
             text_len,
             (const char *)text.data + (text_len > 0 ? start : 0));
}

static bool is_updated(void)
{
    const char *update = getenv("GOLDEN_UPDATE");
    return update != NULL && strcmp(update, "1") == 0;
}

void support_golden_compare(const char *name, struct slice text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "tests/golden/%s.txt", name);
    if (is_updated()) {
        write_file(path, text);
        return;
    }
    struct buf expected = read_file(path);
    bool same = slice_equal(buf_view(&expected), text);
    if (!same) {
        show_difference(path, buf_view(&expected), text);
    }
    buf_deinit(&expected);
}

/* Where the text of `mark` ends in the file. */
static size_t find_mark(struct slice text, const char *path, const char *mark)
{
    const char *found = memmem(text.data, text.len, mark, strlen(mark));
    if (found == NULL) {
        fail_msg("%s has no line %s", path, mark);
        return 0;
    }
    return (size_t)(found - (const char *)text.data) + strlen(mark);
}

void support_golden_compare_part(const char *path, const char *part, struct slice text)
{
    char opens[128];
    char closes[128];
    (void)snprintf(opens, sizeof(opens), "<!-- %s: written by make golden-update -->\n", part);
    (void)snprintf(closes, sizeof(closes), "<!-- end of %s -->", part);
    struct buf whole = read_file(path);
    size_t start = find_mark(buf_view(&whole), path, opens);
    size_t end = find_mark(buf_view(&whole), path, closes) - strlen(closes);
    assert_true(start <= end);
    struct buf wanted = {0};
    buf_append(&wanted, whole.data, start);
    buf_append(&wanted, text.data, text.len);
    buf_append(&wanted, whole.data + end, whole.len - end);
    if (!slice_equal(buf_view(&whole), buf_view(&wanted))) {
        if (is_updated()) {
            write_file(path, buf_view(&wanted));
        } else {
            show_difference(path, buf_view(&whole), buf_view(&wanted));
        }
    }
    buf_deinit(&wanted);
    buf_deinit(&whole);
}
