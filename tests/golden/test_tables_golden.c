/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the documentation says of a table of the code is that table.
 * Method: the table prints itself, and is compared with the part of the document that holds it;
 * GOLDEN_UPDATE=1 writes that part anew. */
#include "replication/keeper.h"
#include "tests/support/support_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_failover_md_shows_the_table_of_the_keeper(void **state)
{
    struct buf out = {0};

    (void)state;
    keeper_print_table(&out);
    support_golden_compare_part("docs/failover.md", "keeper table", buf_view(&out));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failover_md_shows_the_table_of_the_keeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
