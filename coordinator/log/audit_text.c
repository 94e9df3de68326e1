/*
 * audit_text.c - the result of an audit in words. See audit.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/log/audit.h"

const char *coord_audit_finding_name(enum coord_audit_finding finding)
{
    static const char *const names[] = {
        [COORD_AUDIT_SOUND] = "sound",
        [COORD_AUDIT_CHANGED] = "changed",
        [COORD_AUDIT_MISSING] = "missing",
        [COORD_AUDIT_MOVED] = "moved",
        [COORD_AUDIT_INSERTED] = "inserted",
        [COORD_AUDIT_UNSIGNED] = "unsigned",
        [COORD_AUDIT_MISSTATED] = "misstated",
        [COORD_AUDIT_REWRITTEN] = "rewritten",
        [COORD_AUDIT_CUT] = "cut",
        [COORD_AUDIT_UNREADABLE] = "unreadable",
    };
    return (size_t)finding < sizeof names / sizeof *names ? names[finding] : "?";
}

/* "1,204". */
static const char *count(char out[32], uint64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static void tell_proof(const struct coord_audit_result *r, struct zdm_buffer *out)
{
    char a[32], b[32], c[32];
    uint64_t last = r->finding == COORD_AUDIT_SOUND ? r->head_seq : r->bad_seq - 1; /* what is not known to be wrong */
    if (r->proven_seq == 0) {
        zdm_buffer_printf(out, "nothing is proven: no agent has confirmed an event of this log\n");
    } else {
        zdm_buffer_printf(out, "proven up to %s of %s by %s", count(a, r->proven_seq), count(b, r->head_seq),
                          r->proven_by);
        if (last > r->proven_seq)
            zdm_buffer_printf(out, "; %s event%s that nobody has confirmed", count(c, last - r->proven_seq),
                              last - r->proven_seq == 1 ? " follows" : "s follow");
        zdm_buffer_puts(out, "\n");
    }
    if (r->n_given_up > 0)
        zdm_buffer_printf(out, "%" PRIu32 " confirmation%s of a history that a recovery gave up\n", r->n_given_up,
                          r->n_given_up == 1 ? " is" : "s are");
}

void coord_audit_tell(const struct coord_audit_result *r, struct zdm_buffer *out)
{
    char a[32], b[32], c[32];
    if (r->finding == COORD_AUDIT_SOUND) {
        zdm_buffer_printf(out, "the log is sound: %s events, %s epoch%s, %s signatures\n", count(a, r->events),
                          count(b, r->epochs), r->epochs == 1 ? "" : "s", count(c, r->n_signed));
        tell_proof(r, out);
        return;
    }
    zdm_buffer_printf(out, "the log is not what it was: %s\n", r->what);
    tell_proof(r, out);
    if (r->bad_seq <= r->proven_seq)
        zdm_buffer_puts(out, "it was so already when the agent confirmed it: the coordinator wrote it like that\n");
    if (r->after_seq != 0)
        zdm_buffer_printf(out, "what follows it is unchanged up to %s, by %s\n", count(a, r->after_seq), r->after_by);
}
