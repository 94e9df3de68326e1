/*
 * fuzz_runbook.c - any bytes as a runbook: a plan that is whole, or findings; never both a plan and an error.
 */
#include <stdlib.h>

#include "common/runbook/runbook.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zdm_plan *plan = NULL;
    struct zdm_notes *notes = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    enum zdm_code code = zdm_runbook_compile("fuzz.md", (const char *)data, size, &plan, &notes, &err);
    if (code != ZDM_OK && code != ZDM_LIMIT)
        abort();
    for (size_t i = 0; code == ZDM_OK && i < notes->n_findings; i++) {
        if (plan != NULL && notes->findings[i].level == ZDM_LEVEL_ERROR)
            abort();
    }
    zdm_plan_unref(plan);
    zdm_notes_free(notes);
    return 0;
}
