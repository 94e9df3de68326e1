/*
 * refused.c - plans that did not verify, and when they are fetched again: with each order for them, because another
 * operator may have signed the same bytes meanwhile, and with each newer trust file, which may know who signed.
 */
#include <string.h>

#include "agent/app/private.h"

static struct zdm_hash *find(struct agent_driver *d, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < PLANS_REFUSED_MAX; i++)
        if (zdm_hash_equal(&d->plans_refused[i], hash))
            return &d->plans_refused[i];
    return NULL;
}

void refused_note(struct agent_driver *d, const struct zdm_hash *hash)
{
    if (find(d, hash) != NULL)
        return;
    d->plans_refused[d->next_refused] = *hash;
    d->next_refused = (d->next_refused + 1) % PLANS_REFUSED_MAX;
}

void refused_forget(struct agent_driver *d, const struct zdm_hash *hash)
{
    struct zdm_hash *place = find(d, hash);
    if (place != NULL)
        memset(place, 0, sizeof *place);
}

void refused_fetch(struct agent_driver *d, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < PLANS_REFUSED_MAX; i++)
        if (!zdm_hash_is_zero(&d->plans_refused[i]) && (hash == NULL || zdm_hash_equal(&d->plans_refused[i], hash)))
            agent_plan_fetch_want(&d->fetch, &d->plans_refused[i]);
}
