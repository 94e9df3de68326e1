/*
 * fuzz_mysql.c - any bytes as SQL for MySQL and MariaDB: as the fences of a runbook, and as what a runbook is drafted
 * from. A plan that is whole and honest, or findings; never both a plan and an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/runbook.h"
#include "tests/fuzz/fuzz.h"

enum { SQL_MAX = 16 * 1024 };

static void compile(const char *front, const char *heading, const char *fence, const char *sql)
{
    static const char check[] = "~~~~~~sql {check}\nSELECT 1;\n~~~~~~\n"; /* as-is fences need one */
    static char text[SQL_MAX + 512];
    struct zdm_plan *plan = NULL;
    struct zdm_notes *notes = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    int n = snprintf(text, sizeof text, "---\nid: fuzz\n%s---\n## %s\n~~~~~~sql%s\n%s\n~~~~~~\n%s", front, heading,
                     fence, sql, check);
    if (n < 0 || zdm_runbook_compile("fuzz.md", text, (size_t)n, &plan, &notes, &err) != ZDM_OK)
        abort();
    for (size_t i = 0; i < notes->n_findings; i++) {
        if (plan != NULL && notes->findings[i].level == ZDM_LEVEL_ERROR)
            abort();
    }
    zdm_plan_unref(plan);
    zdm_notes_free(notes);
}

static void draft(const char *sql)
{
    struct zdm_draft_options options = {.type = "varchar(20)", .engine = ZDM_ENGINE_MYSQL};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *text = NULL;
    enum zdm_code code = zdm_runbook_draft(sql, &options, &text, &err);
    if ((code == ZDM_OK) != (text != NULL))
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char sql[SQL_MAX + 1];
    if (size > SQL_MAX || memchr(data, '\0', size) != NULL)
        return 0;
    memcpy(sql, data, size);
    sql[size] = '\0';
    compile("engines: mysql\n", "Expand", "", sql);
    compile("engines: mysql\n", "Migrate", " {no-sync}", sql);
    compile("engines: mysql\n", "Contract", " {rewrite-ok}", sql);
    compile("engines: mysql\n", "Migrate", " {check}", sql);
    compile("engines: mysql\n", "Expand", " {as-is lock=short no-undo}", sql);
    compile("engines: [postgresql, mysql]\n", "Migrate", "", sql);
    draft(sql);
    return 0;
}
