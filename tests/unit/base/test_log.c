/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever a caller passes, an event is one line with stable parts. Method: a sink, or a pipe
 * for the bytes that really leave. */
#include "base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    CAPTURE_SIZE = 8192,
    WALL_LEN = 24,
    THREADS = 4,
    LINES_EACH = 200
};

struct capture {
    unsigned lines;
    enum log_level level;
    char line[CAPTURE_SIZE];
};

static void capture_line(enum log_level level, const char *line, void *ctx)
{
    struct capture *capture = ctx;
    capture->lines++;
    capture->level = level;
    (void)snprintf(capture->line, sizeof(capture->line), "%s", line);
}

static int set_up(void **state)
{
    static struct capture capture;
    capture = (struct capture){0};
    log_set_sink(capture_line, &capture);
    log_set_level(LOG_INFO);
    log_set_suffix("");
    *state = &capture;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    log_set_suffix("");
    log_set_fd(STDERR_FILENO);
    return 0;
}

static void test_line_has_time_level_event_and_pairs(void **state)
{
    const struct capture *capture = *state;
    log_event(LOG_WARN, "lease.closed", "shard=%s epoch=%" PRIu64, "orders", UINT64_C(7));
    assert_int_equal(capture->lines, 1);
    assert_int_equal(capture->level, LOG_WARN);
    assert_int_equal(capture->line[WALL_LEN - 1], 'Z');
    assert_string_equal(capture->line + WALL_LEN, " warn event=lease.closed shard=orders epoch=7");
}

static void test_event_without_pairs_ends_after_its_name(void **state)
{
    const struct capture *capture = *state;
    log_event(LOG_INFO, "member.started", "%s", "");
    assert_string_equal(capture->line + WALL_LEN, " info event=member.started");
}

static void test_levels_below_the_chosen_one_are_silent(void **state)
{
    const struct capture *capture = *state;
    log_event(LOG_DEBUG, "a.b", "x=%d", 1);
    assert_int_equal(capture->lines, 0);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "a.b", "x=%d", 1);
    assert_int_equal(capture->lines, 0);
    log_event(LOG_ERROR, "a.b", "x=%d", 1);
    assert_int_equal(capture->lines, 1);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "a.b", "x=%d", 1);
    assert_int_equal(capture->lines, 2);
}

static void test_suffix_says_whose_line_it_is(void **state)
{
    const struct capture *capture = *state;
    log_set_suffix("member=n1");
    log_event(LOG_INFO, "a.b", "x=%d", 1);
    assert_string_equal(capture->line + WALL_LEN, " info event=a.b x=1 member=n1");
}

static void test_control_bytes_never_break_a_line(void **state)
{
    const struct capture *capture = *state;
    log_event(LOG_INFO, "a.b", "x=%s", "1\nerror event=fake\t\x1b[31m\r\x7f");
    assert_string_equal(capture->line + WALL_LEN,
                        " info event=a.b x=1\\nerror event=fake\\t\\x1b[31m\\r\\x7f");
}

static void test_values_are_quoted_only_if_they_need_it(void **state)
{
    (void)state;
    assert_string_equal(log_quote("plain-1.2/3"), "plain-1.2/3");
    assert_string_equal(log_quote(""), "\"\"");
    assert_string_equal(log_quote("two words"), "\"two words\"");
    assert_string_equal(log_quote("a=b"), "\"a=b\"");
    assert_string_equal(log_quote("say \"hi\" \\ there"), "\"say \\\"hi\\\" \\\\ there\"");
    assert_string_equal(log_quote("line\nbreak"), "\"line\\nbreak\"");
    assert_string_equal(log_quote("naïve"), "naïve");
}

static void test_eight_quoted_values_live_side_by_side(void **state)
{
    (void)state;
    char text[16];
    const char *quoted[8];
    for (int i = 0; i < 8; i++) {
        (void)snprintf(text, sizeof(text), "v %d", i);
        quoted[i] = log_quote(text);
    }
    for (int i = 0; i < 8; i++) {
        (void)snprintf(text, sizeof(text), "\"v %d\"", i);
        assert_string_equal(quoted[i], text);
    }
}

static void test_long_values_are_cut_with_a_mark(void **state)
{
    (void)state;
    char big[3000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    const char *quoted = log_quote(big);
    size_t len = strlen(quoted);
    assert_true(len < 1024);
    assert_string_equal(quoted + len - strlen("…\""), "…\"");
}

static void test_long_lines_are_cut_and_keep_their_suffix(void **state)
{
    const struct capture *capture = *state;
    char big[6000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    log_set_suffix("member=n1");
    log_event(LOG_INFO, "a.b", "x=%s", big);
    size_t len = strlen(capture->line);
    assert_true(len < 4096);
    assert_true(len > 4000);
    assert_string_equal(capture->line + len - strlen("… member=n1"), "… member=n1");
}

static void test_characters_of_several_bytes_are_cut_whole(void **state)
{
    const struct capture *capture = *state;
    char big[6000];
    for (int start = 0; start < 3; start++) {
        memset(big, 'a', (size_t)start);
        size_t len = (size_t)start;
        for (; len + 3 < sizeof(big); len += 3) {
            memcpy(big + len, "€", 3);
        }
        big[len] = '\0';
        log_event(LOG_INFO, "a.b", "%s", big);
        size_t end = strlen(capture->line) - strlen("…");
        assert_string_equal(capture->line + end, "…");
        assert_memory_equal(capture->line + end - 3, "€", 3);
    }
}

static void *log_many(void *ctx)
{
    for (int i = 0; i < LINES_EACH; i++) {
        log_event(LOG_INFO, "thread.line", "who=%s rest=%s", (const char *)ctx, "0123456789");
    }
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    char line[256];
    unsigned lines = 0;
    FILE *file = tmpfile();
    assert_non_null(file);
    log_set_sink(NULL, NULL);
    log_set_fd(fileno(file));

    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }

    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char who = line[WALL_LEN + strlen(" info event=thread.line who=")];
        assert_true(who >= 'a' && who <= 'd');
        assert_string_equal(line + strlen(line) - strlen(" rest=0123456789\n"),
                            " rest=0123456789\n");
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES_EACH);
    (void)fclose(file);
}

static void test_log_that_cannot_be_written_stops_nobody(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    log_set_fd(-1);
    log_event(LOG_ERROR, "a.b", "x=%d", 1);
}

static uint64_t hits_of(const char *name)
{
    for (const struct log_mark *mark = log_mark_list(); mark != NULL; mark = mark->next) {
        if (strcmp(mark->name, name) == 0) {
            return mark->hits;
        }
    }
    return 0;
}

static void test_marks_count_how_often_a_line_was_reached(void **state)
{
    (void)state;
    assert_int_equal(hits_of("test.first"), 0);
    for (int i = 0; i < 3; i++) {
        MARK("test.first");
    }
    MARK("test.second");
    assert_int_equal(hits_of("test.first"), 3);
    assert_int_equal(hits_of("test.second"), 1);
    assert_int_equal(hits_of("test.never"), 0);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_line_has_time_level_event_and_pairs),
        LOG_TEST(test_event_without_pairs_ends_after_its_name),
        LOG_TEST(test_levels_below_the_chosen_one_are_silent),
        LOG_TEST(test_suffix_says_whose_line_it_is),
        LOG_TEST(test_control_bytes_never_break_a_line),
        LOG_TEST(test_values_are_quoted_only_if_they_need_it),
        LOG_TEST(test_eight_quoted_values_live_side_by_side),
        LOG_TEST(test_long_values_are_cut_with_a_mark),
        LOG_TEST(test_long_lines_are_cut_and_keep_their_suffix),
        LOG_TEST(test_characters_of_several_bytes_are_cut_whole),
        LOG_TEST(test_lines_of_threads_do_not_mix),
        LOG_TEST(test_log_that_cannot_be_written_stops_nobody),
        LOG_TEST(test_marks_count_how_often_a_line_was_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
