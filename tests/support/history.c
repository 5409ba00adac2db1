/* SPDX-License-Identifier: Apache-2.0 */
/* Reads histories and pairs invocations with their completions: history.h. */
#include "tests/support/history.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is under way: by process. */
struct open_op {
    int64_t process;
    size_t op;
};

struct pairing {
    struct history *history;
    struct open_op *open;
    size_t open_count;
    size_t open_cap;
    size_t ops_cap;
};

static bool refuse(struct history *history, size_t line, const char *why)
{
    (void)snprintf(history->error, sizeof(history->error), "line %zu: %s", line + 1, why);
    return false;
}

static struct history_op *add_op(struct pairing *pairing)
{
    struct history *history = pairing->history;

    if (history->ops_count == pairing->ops_cap) {
        pairing->ops_cap = pairing->ops_cap == 0 ? 256 : pairing->ops_cap * 2;
        history->ops = mem_resize(history->ops, pairing->ops_cap * sizeof(*history->ops));
    }
    struct history_op *op = &history->ops[history->ops_count++];
    *op = (struct history_op){.process = -1, .type = HISTORY_INFO, .complete_ns = HISTORY_NEVER};
    return op;
}

static struct open_op *find_open(struct pairing *pairing, int64_t process)
{
    for (size_t i = 0; i < pairing->open_count; i++) {
        if (pairing->open[i].process == process) {
            return &pairing->open[i];
        }
    }
    return NULL;
}

static bool begin(struct pairing *pairing, size_t line, int64_t process, int64_t time)
{
    const struct edn *map = &pairing->history->lines[line];

    if (find_open(pairing, process) != NULL) {
        return refuse(pairing->history, line, "the process has an operation under way");
    }
    if (pairing->open_count == pairing->open_cap) {
        pairing->open_cap = pairing->open_cap == 0 ? 16 : pairing->open_cap * 2;
        pairing->open = mem_resize(pairing->open, pairing->open_cap * sizeof(*pairing->open));
    }
    pairing->open[pairing->open_count++] =
        (struct open_op){.process = process, .op = pairing->history->ops_count};
    struct history_op *op = add_op(pairing);
    op->process = process;
    op->f = edn_get(map, "f")->text;
    op->invoke_ns = (uint64_t)time;
    op->asked = edn_get(map, "value");
    op->value = op->asked;
    op->completion = map;
    return true;
}

static bool complete(struct pairing *pairing, size_t line, int64_t process, int64_t time)
{
    const struct edn *map = &pairing->history->lines[line];
    struct open_op *open = find_open(pairing, process);

    if (open == NULL) {
        return refuse(pairing->history, line, "a completion without an invocation");
    }
    struct history_op *op = &pairing->history->ops[open->op];
    *open = pairing->open[--pairing->open_count];
    if (strcmp(op->f, edn_get(map, "f")->text) != 0 || (uint64_t)time < op->invoke_ns) {
        return refuse(pairing->history, line, "a completion that is not its invocation's");
    }
    const struct edn *type = edn_get(map, "type");
    op->type = edn_is_keyword(type, "ok")     ? HISTORY_OK
               : edn_is_keyword(type, "fail") ? HISTORY_FAIL
                                              : HISTORY_INFO;
    op->complete_ns = op->type == HISTORY_INFO ? HISTORY_NEVER : (uint64_t)time;
    op->value = edn_get(map, "value");
    op->completion = map;
    return true;
}

static bool take_line(struct pairing *pairing, size_t line)
{
    const struct edn *map = &pairing->history->lines[line];
    const struct edn *process = edn_get(map, "process");
    const struct edn *type = edn_get(map, "type");
    const struct edn *f = edn_get(map, "f");
    int64_t time = 0;

    if (!edn_int(edn_get(map, "time"), &time) || time < 0 || f == NULL || f->kind != EDN_KEYWORD ||
        type == NULL || process == NULL) {
        return refuse(pairing->history, line, "no :time, :process, :type or :f");
    }
    if (process->kind == EDN_KEYWORD) {
        struct history_op *op = add_op(pairing);
        op->source = process->text;
        op->f = f->text;
        op->invoke_ns = (uint64_t)time;
        op->complete_ns = (uint64_t)time;
        op->value = edn_get(map, "value");
        op->completion = map;
        return true;
    }
    if (process->kind != EDN_INT || process->number < 0) {
        return refuse(pairing->history, line, ":process is no number and no keyword");
    }
    if (edn_is_keyword(type, "invoke")) {
        return begin(pairing, line, process->number, time);
    }
    if (!edn_is_keyword(type, "ok") && !edn_is_keyword(type, "fail") &&
        !edn_is_keyword(type, "info")) {
        return refuse(pairing->history, line, "no such :type");
    }
    return complete(pairing, line, process->number, time);
}

bool history_read(FILE *file, struct history *history_out)
{
    struct pairing pairing = {.history = history_out};
    size_t cap = 0;
    size_t size = 0;
    char *line = NULL;
    bool good = true;

    *history_out = (struct history){0};
    while (good && getline(&line, &size, file) > 0) {
        const char *end = NULL;
        if (line[strspn(line, " \r\n")] == '\0' || line[0] == ';') {
            continue;
        }
        if (history_out->lines_count == cap) {
            cap = cap == 0 ? 1024 : cap * 2;
            history_out->lines = mem_resize(history_out->lines, cap * sizeof(struct edn));
        }
        if (!edn_read(line, &history_out->lines[history_out->lines_count++], &end)) {
            good = refuse(history_out, history_out->lines_count - 1, "no EDN");
        }
    }
    free(line);
    for (size_t i = 0; good && i < history_out->lines_count; i++) {
        good = take_line(&pairing, i);
    }
    mem_free(pairing.open);
    return good;
}

bool history_parse(const char *text, struct history *history_out)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    CHECK(file != NULL);
    bool good = history_read(file, history_out);
    (void)fclose(file);
    return good;
}

void history_deinit(struct history *history)
{
    for (size_t i = 0; i < history->lines_count; i++) {
        edn_deinit(&history->lines[i]);
    }
    mem_free(history->lines);
    mem_free(history->ops);
    *history = (struct history){0};
}

bool history_is(const struct history_op *op, const char *f)
{
    return strcmp(op->f, f) == 0;
}

const struct edn *history_extra(const struct history_op *op, const char *keyword)
{
    return edn_get(op->completion, keyword);
}
