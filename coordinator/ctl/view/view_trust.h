/*
 * view_trust.h - the trust file for people: who may do what, what changed from version to version. Pure.
 */
#ifndef COORDINATOR_CTL_VIEW_VIEW_TRUST_H
#define COORDINATOR_CTL_VIEW_VIEW_TRUST_H

#include "common/base/seams.h"
#include "coordinator/ctl/text/text.h"
#include "proto/trust_file.h"

/* The newest version whole, and before it the changes that led there. */
void ctl_view_trust(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_crypto *crypto,
                    const struct zdm_trust_chain *chain);
/* One line for each difference: "+ person eve  1234…  operator". */
void ctl_view_trust_changes(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_crypto *crypto,
                            const struct zdm_trust *before, const struct zdm_trust *after);

#endif
