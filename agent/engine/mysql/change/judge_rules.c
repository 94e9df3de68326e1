/*
 * judge_rules.c - see judge_rules.h.
 */
#include "agent/engine/mysql/change/judge_rules.h"

#include <stddef.h>

enum {
    ROW_VERSIONS_8 = 64,
    ROW_VERSIONS_9_1 = 255,
    KEPT_FREE = 4 /* for what a person has to do at once, and for the purge of a column */
};

static const struct mydb_attempt mariadb_attempts[] = {
    {.algorithm = ", ALGORITHM=INSTANT"},
    {.algorithm = ", ALGORITHM=NOCOPY, LOCK=NONE"},
    {.algorithm = ", ALGORITHM=INPLACE, LOCK=NONE", .rebuilds = true},
    {.algorithm = NULL},
};

/* INSTANT goes with no LOCK here: 1221. */
static const struct mydb_attempt mysql_attempts[] = {
    {.algorithm = ", ALGORITHM=INSTANT"},
    {.algorithm = ", ALGORITHM=INPLACE, LOCK=NONE", .may_rebuild = true},
    {.algorithm = NULL},
};

const struct mydb_attempt *mydb_attempts(bool mariadb, bool instant)
{
    return (mariadb ? mariadb_attempts : mysql_attempts) + (instant ? 0 : 1);
}

static void put_encoded(struct zdm_buffer *out, const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter) {
            zdm_buffer_append(out, p, 1);
        } else if (c == '_') {
            zdm_buffer_puts(out, "|_");
        } else if (c < 0x80) {
            zdm_buffer_printf(out, "@%04x", (unsigned)c);
        } else if (c >= 0xC0) { /* once for a character */
            zdm_buffer_puts(out, "@%");
        }
    }
}

void mydb_put_inner_name(struct zdm_buffer *out, const char *database, const char *table)
{
    put_encoded(out, database);
    zdm_buffer_puts(out, "/");
    put_encoded(out, table);
}

unsigned mydb_row_versions_max(unsigned version_num)
{
    return version_num >= 90100 ? ROW_VERSIONS_9_1 : ROW_VERSIONS_8;
}

bool mydb_may_be_instant(bool mariadb, unsigned version_num, unsigned row_versions)
{
    if (mariadb) {
        return true;
    }
    if (version_num >= 80029 && version_num <= 80031) {
        return false;
    }
    return row_versions + KEPT_FREE < mydb_row_versions_max(version_num);
}
