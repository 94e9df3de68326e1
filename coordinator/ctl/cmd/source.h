/*
 * source.h - plans and signed bodies as commands need them: a runbook compiled here, the plan that was submitted, and
 * what a person signs beside a request.
 */
#ifndef COORDINATOR_CTL_CMD_SOURCE_H
#define COORDINATOR_CTL_CMD_SOURCE_H

#include "common/plan/notes.h"
#include "common/plan/plan.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/client/fleet_survey.h"
#include "proto/signed.h"

struct ctl_compiled {
    struct zdm_plan *plan; /* NULL when the runbook has errors */
    struct zdm_notes *notes;
    struct zdm_buffer plan_bytes;
};

/* Compiles and encodes, so that the hash is filled. Errors of the runbook are in the notes. */
enum zdm_code ctl_compile(const char *path, struct ctl_compiled *out, struct zdm_error *err) ZDM_CHECKED;
/* The same of a text. */
enum zdm_code ctl_compile_text(const char *name, const char *text, size_t n, struct ctl_compiled *out,
                               struct zdm_error *err) ZDM_CHECKED;
void ctl_compiled_fini(struct ctl_compiled *compiled);
/* Appends the plan as it is uploaded: signed with the client's key, flat. */
enum zdm_code ctl_compiled_sign(const struct ctl_client *client, const struct ctl_compiled *compiled,
                                struct zdm_buffer *out, struct zdm_error *err) ZDM_CHECKED;
/* Asks every shard what the plan would meet there (cmd_check.c). The caller frees *out, on failure too. */
enum zdm_code ctl_survey_compiled(const struct ctl *ctl, const struct ctl_compiled *compiled,
                                  struct ctl_fleet_survey *out, struct zdm_error *err) ZDM_CHECKED;
/* Prints it, as text or JSON. */
enum zdm_code ctl_compiled_show(const struct ctl *ctl, const struct ctl_compiled *compiled,
                                struct zdm_error *err) ZDM_CHECKED;
/* ZDM_REFUSED: the runbook has errors. */
enum zdm_code ctl_compiled_refuse(const char *path, const struct zdm_notes *notes, struct zdm_error *err);

/* What a command on one migration looks at first. Zero it before and free it after (ctl_subject_fini). */
struct ctl_subject {
    json_t *fleet, *status;
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_plan *plan;     /* as it was submitted; its hash is of the bytes that the coordinator gave */
    struct zdm_notes *notes;   /* never NULL; empty when the coordinator's do not decode */
    struct zdm_id plan_signer; /* as the plan's header says */
};

/* Asks for fleet, status and plan. named: NULL for the only active one. ended_too: without a name and without an active
 * one, take that which ended last. ZDM_CORRUPT when plan and status do not fit together. */
enum zdm_code ctl_subject_read(struct ctl_client *client, const char *named, bool ended_too, struct ctl_subject *out,
                               struct zdm_error *err) ZDM_CHECKED;
void ctl_subject_fini(struct ctl_subject *subject);

/* Signs an encoded body with the person's key. Frees nothing. */
enum zdm_code ctl_sign(struct ctl_client *client, enum zdm_signed_type type, const struct zdm_buffer *body,
                       struct zdm_envelope *out, struct zdm_error *err) ZDM_CHECKED;
/* A new nonce, and now by the wall clock. */
struct zdm_id ctl_nonce(void);
int64_t ctl_wall(void);

#endif
