/*
 * trust_change.h - the next version of a trust file out of the newest one and the options of `trust propose`; and how
 * people, keys and roles are written on the command line.
 */
#ifndef COORDINATOR_CTL_MODEL_TRUST_CHANGE_H
#define COORDINATOR_CTL_MODEL_TRUST_CHANGE_H

#include "common/base/seams.h"
#include "common/plan/trust.h"
#include "coordinator/ctl/options.h"

/* "operator,approver"; nothing: operator. */
enum zdm_code ctl_roles_parse(const char *text, uint32_t *out, struct zdm_error *err) ZDM_CHECKED;
/* A public key: the path of its file, or the key itself. */
enum zdm_code ctl_public_key(const char *text, struct zdm_hash *out, struct zdm_error *err) ZDM_CHECKED;
/* NAME=KEY or NAME=KEY:ROLES; a colon with a slash behind it belongs to a path. option: for messages. *out_has_roles:
 * were roles given? */
enum zdm_code ctl_person_parse(const char *option, const char *text, struct zdm_person *out, bool *out_has_roles,
                               struct zdm_error *err) ZDM_CHECKED;

/* Changes `trust`, a version of its own, as the options say, raises its version by one and validates it. ZDM_INVALID
 * names what does not fit, also when nothing is to be changed. */
enum zdm_code ctl_trust_change(const struct zdm_crypto *crypto, struct zdm_trust *trust,
                               const struct ctl_options *options, struct zdm_error *err) ZDM_CHECKED;

#endif
