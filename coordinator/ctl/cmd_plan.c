/*
 * cmd_plan.c - plan and submit: a runbook becomes a plan here, and only here.
 *
 * Both compile and encode in the same way, so that submit prints the hash that plan printed.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/client.h"
#include "coordinator/ctl/source.h"
#include "proto/signed.h"

enum zdm_code ctl_run_plan(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct ctl_compiled c = {.plan = NULL};
    enum zdm_code code = ctl_compile(path, &c, err);
    if (code == ZDM_OK)
        code = ctl_compiled_show(ctl, &c, err);
    if (code == ZDM_OK && c.plan == NULL)
        code = ctl_compiled_refuse(path, c.notes, err);
    ctl_compiled_fini(&c);
    return code;
}

/* ---- submit ---- */

/* The signed plan and the notes, as they are uploaded. */
static enum zdm_code pack(struct ctl_client *client, const struct ctl_compiled *c, struct ctl_errand *errand,
                          struct zdm_error *err)
{
    struct zdm_envelope envelope;
    enum zdm_code code = zdm_signed_make(zdm_crypto_sodium(), ctl_client_key(client), &ctl_client_trust(client)->fleet,
                                         ZDM_SIGNED_PLAN, c->plan_bytes.data, c->plan_bytes.len, &envelope, err);
    if (code != ZDM_OK)
        return code;
    errand->n_uploads = 2;
    zdm_buffer_init(&errand->uploads[0], ZDM_PLAN_MAX);
    zdm_buffer_init(&errand->uploads[1], ZDM_NOTES_MAX);
    zdm_envelope_flatten(&envelope, &errand->uploads[0]);
    zdm_notes_encode(c->notes, &errand->uploads[1]);
    zdm_envelope_fini(&envelope);
    if (errand->uploads[0].failed || errand->uploads[1].failed)
        return zdm_error_set(err, ZDM_LIMIT, "the plan or its notes are larger than %d KiB", ZDM_PLAN_MAX / 1024);
    return ZDM_OK;
}

static enum zdm_code submit(struct ctl *ctl, const struct ctl_compiled *c, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_SUBMIT, .plan_hash = c->plan->hash}};
    struct ctl_answer answer;
    char hash[ZDM_HASH_HEX_SIZE];
    zdm_hex(hash, c->plan->hash.bytes, sizeof c->plan->hash.bytes);
    zdm_copy_text(errand.request.migration, sizeof errand.request.migration, c->plan->id);
    enum zdm_code code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = pack(client, c, &errand, err);
    if (code == ZDM_OK)
        code = ctl_act(client, &errand, &answer, err);
    if (code == ZDM_OK && !ctl_wants_json(ctl))
        printf("plan %s\n", hash);
    if (code == ZDM_OK)
        code = ctl_print_answer(ctl, &errand.request, &answer, err);
    ctl_errand_fini(&errand);
    return code;
}

enum zdm_code ctl_run_submit(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct ctl_compiled c = {.plan = NULL};
    enum zdm_code code = ctl_compile(path, &c, err);
    if (code == ZDM_OK && c.plan == NULL) {
        code = ctl_compiled_show(ctl, &c, err);
        if (code == ZDM_OK)
            code = ctl_compiled_refuse(path, c.notes, err);
    } else if (code == ZDM_OK) {
        code = submit(ctl, &c, err);
    }
    ctl_compiled_fini(&c);
    return code;
}
