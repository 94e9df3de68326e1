/*
 * engines.h - engines in words, and shards whose engine a plan is not for: who submits it is refused, and is told so
 * before.
 */
#ifndef ZDM_PLAN_ENGINES_H
#define ZDM_PLAN_ENGINES_H

#include "common/plan/plan.h"

/* Zero it before. */
struct zdm_unfit {
    size_t n;
    enum zdm_engine engine; /* of the first one */
    char names[128];        /* the first ones: "shop-1, shop-2" */
    size_t n_named;
};

/* Looks at one more shard; ZDM_ENGINE_ANY: what it runs is not known, which is nothing against it. */
void zdm_unfit_add(struct zdm_unfit *unfit, const struct zdm_plan *plan, enum zdm_engine engine, const char *shard);
/* ZDM_OK, or ZDM_REFUSED with engine and shards. */
enum zdm_code zdm_unfit_judge(const struct zdm_unfit *unfit, const struct zdm_plan *plan,
                              struct zdm_error *err) ZDM_CHECKED;
/* The engine of that name; ZDM_ENGINE_ANY: none, or NULL. */
enum zdm_engine zdm_engine_named(const char *name);

/* The server as people call it: "postgresql 15.4", "mysql 9.7.4", "mariadb 10.11.19" for MySQL's "10.11.19-MariaDB". */
void zdm_server_text(char *out, size_t size, const char *engine, const char *version);
/* Do two engines mean the same thing by these names? MySQL knows no schemas: "column public.users.name" of PostgreSQL
 * is "column users.name" there. Equal texts are the same, too. */
bool zdm_is_same_thing(const char *a, const char *b);

#endif
