/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba sidecar` and `indaba guardian`, beside one more kind of database. */
#include "cmd/guardian_main.h"
#include "tests/keyvalue/keyvalue_driver.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static const struct sidecar_kind *const KINDS[] = {&SIDECAR_POSTGRES, &SIDECAR_KEYVALUE, NULL};
    if (argc > 1 && strcmp(argv[1], "guardian") == 0) {
        return guardian_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "sidecar") == 0) {
        return sidecar_run(argc - 1, argv + 1, KINDS);
    }
    (void)fprintf(stderr, "Usage: %s sidecar|guardian …\n", argv[0]);
    return 2;
}
