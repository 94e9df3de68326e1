/*
 * mysql.c - the entries of the MySQL dialect; see mysql.h.
 */
#include "common/runbook/mysql/mysql.h"

static void refuse(struct rb *rb, const struct rb_fence *fence)
{
    rb_error(rb, "engine", fence->at, "Write it for PostgreSQL.", "SQL for mysql cannot be run by this release");
}

void rb_mysql_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence)
{
    (void)phase;
    refuse(rb, fence);
}

void rb_mysql_as_is(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, struct rb_as_is_text *out)
{
    (void)phase;
    *out = (struct rb_as_is_text){.sql = ""};
    refuse(rb, fence);
}

const char *rb_mysql_query(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, const char *rule)
{
    (void)phase;
    (void)rule;
    refuse(rb, fence);
    return NULL;
}

/* Quoting a name that needs none is only longer. */
bool rb_mysql_is_reserved(const char *word)
{
    return word[0] != '\0';
}
