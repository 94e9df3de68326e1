/*
 * names.h - the text of an enumerator, inside common/plan: one table a type, "?" for a number that is not in it.
 */
#ifndef ZDM_PLAN_NAMES_H
#define ZDM_PLAN_NAMES_H

#include <stddef.h>

static inline const char *zdm_name_in(const char *const *names, size_t n, unsigned number)
{
    return number < n && names[number] != NULL ? names[number] : "?";
}

#define ZDM_NAME_IN(names, number) zdm_name_in((names), sizeof(names) / sizeof *(names), (unsigned)(number))

#endif
