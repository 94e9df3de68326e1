/*
 * main.c - zdmctl: the process around ctl_main.
 */
#include <locale.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/command.h"

int main(int argc, char **argv)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    setlocale(LC_CTYPE, "");
    setrlimit(RLIMIT_CORE, &none); /* a core would hold the key */
    if (zdm_crypto_start(&err) != ZDM_OK) {
        fprintf(stderr, "zdmctl: %s\n", err.message);
        return CTL_EXIT_FAILED;
    }
    return ctl_main(argc, argv, ZDM_VERSION);
}
