/*
 * claims.c - the rows of the journal as they came with CONNECT: each is verified again before the core sees it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/private.h"
#include "agent/app/verify.h"

bool claims_make(struct claims *claims, size_t n)
{
    claims->directives = calloc(n, sizeof *claims->directives);
    claims->directive_at = calloc(n, sizeof *claims->directive_at);
    claims->plan_at = calloc(n, sizeof *claims->plan_at);
    claims->signers = calloc(n, sizeof *claims->signers);
    claims->whys = calloc(n, sizeof *claims->whys);
    claims->why_at = calloc(n, sizeof *claims->why_at);
    return claims->directives != NULL && claims->directive_at != NULL && claims->plan_at != NULL &&
           claims->signers != NULL && claims->whys != NULL && claims->why_at != NULL;
}

void claims_free(struct claims *claims, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (claims->directive_at != NULL && claims->directive_at[i] != NULL)
            zdm_directive_fini(&claims->directives[i]);
        if (claims->plan_at != NULL)
            zdm_plan_unref(claims->plan_at[i]);
    }
    free(claims->directives);
    free(claims->directive_at);
    free(claims->plan_at);
    free(claims->signers);
    free(claims->whys);
    free(claims->why_at);
}

static void note_bad_row(struct agent_driver *d, const struct agent_journal *row, const struct zdm_error *err)
{
    snprintf(d->journal_error, sizeof d->journal_error, "journal row of %s does not verify: %.150s", row->migration,
             err->message);
    d->journal_bad = row->plan_hash;
    struct agent_note note = {.level = ZDM_LOG_ERROR, .message = "journal row does not verify"};
    agent_note_add(&note, "migration", row->migration);
    agent_note_add(&note, "reason", err->message);
    if (d->config.notice != NULL)
        d->config.notice(d->config.ctx, &note);
}

void claims_read(struct agent_driver *d, const struct agent_result *result, struct claims *claims)
{
    struct zdm_error err;
    d->journal_error[0] = '\0';
    d->journal_trust = 0;
    for (size_t i = 0; i < result->n_journals; i++) {
        const struct agent_journal *row = &result->journals[i];
        if (agent_verify_row(d->config.crypto, &d->identity, row, &claims->directives[i], &claims->plan_at[i],
                             &claims->signers[i], &err) == ZDM_OK) {
            claims->directive_at[i] = &claims->directives[i];
        } else {
            note_bad_row(d, row, &err);
            zdm_copy_text(claims->whys[i], sizeof claims->whys[i], err.message);
            claims->why_at[i] = claims->whys[i];
            /* By whoever was an operator once: nothing is done under it, but it tells what was. */
            if (agent_verify_former_row(d->config.crypto, &d->identity, row, &claims->directives[i],
                                        &claims->plan_at[i], &claims->signers[i], &err) == ZDM_OK)
                claims->directive_at[i] = &claims->directives[i];
        }
        if (row->trust_version > d->journal_trust)
            d->journal_trust = row->trust_version;
    }
    if (d->journal_trust > d->identity.chain.trust.version)
        trust_ask(d);
}
