/*
 * recipe.c - the longer way for what is refused, as a hint: a whole runbook where one can be drafted.
 */
#include "common/runbook/mysql/parse.h"

const char *my_recipe(struct rb *rb, const char *sql, const char *words)
{
    (void)rb;
    (void)sql;
    return words;
}
