/*
 * audit.h - is this log what it was? Three proofs, each by somebody else:
 *
 *   the chain      every event's hash covers all before it: a change in place, a gap, a swap show without any help
 *   signatures     what people asked for stands in the log as they signed it, under the trust file of that time
 *   anchors        what agents accepted names a position and the chain's hash there, in their own databases: somebody
 *                  who has the log's file can compute the chain anew, but not change what the shards hold
 *
 * Pure: stored events go in in order, with anchors given before the first; nothing is believed that was not computed
 * here. So the same code runs at the coordinator, beside a copied file, and at a person's side, who need not trust the
 * coordinator that hands out its log.
 *
 * What agents hold of a history that was given up (a coordinator recovered from a backup) fits no log any more. That is
 * told apart by the log's own `recovered`, which an operator signed for.
 */
#ifndef COORDINATOR_LOG_AUDIT_H
#define COORDINATOR_LOG_AUDIT_H

#include "common/base/buffer.h"
#include "common/base/limits.h"
#include "common/base/seams.h"
#include "common/plan/directive.h"
#include "coordinator/store/store.h"

struct coord_audit;

/* Who confirms a position: what one agent accepted last for one migration. */
struct coord_audit_anchor {
    char who[ZDM_TEXT_MAX + 1]; /* "agent ab12cd34ef56 of shard-3" */
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_fence fence;
};

enum coord_audit_finding {
    COORD_AUDIT_SOUND = 0,
    COORD_AUDIT_CHANGED,   /* an event's bytes, or the hashes beside them, are not those that were stored */
    COORD_AUDIT_MISSING,   /* an event is not there */
    COORD_AUDIT_MOVED,     /* events were exchanged, or one stands twice */
    COORD_AUDIT_INSERTED,  /* an event stands there that was not */
    COORD_AUDIT_UNSIGNED,  /* a signature is wrong, or of nobody who could sign that */
    COORD_AUDIT_MISSTATED, /* the event does not say what was signed, or nobody signed it */
    COORD_AUDIT_REWRITTEN, /* the chain fits, but an agent confirmed another one */
    COORD_AUDIT_CUT,       /* an agent confirmed what comes after the end */
    COORD_AUDIT_UNREADABLE /* the event fits the chain and is none that this release can read */
};

struct coord_audit_result {
    uint64_t events;      /* read */
    uint64_t head_seq;    /* of the last one */
    uint64_t n_signed;    /* signatures verified */
    uint64_t epochs;      /* started */
    uint32_t n_anchors;   /* given */
    uint32_t n_confirmed; /* of them, those that fit */
    uint32_t n_given_up;  /* of them, those of a history that a recovery gave up */
    uint64_t proven_seq;  /* up to here everything is as an agent confirmed it; 0: nothing is */
    char proven_by[ZDM_TEXT_MAX + 1];
    enum coord_audit_finding finding; /* the first thing that is wrong */
    uint64_t bad_seq, bad_to;         /* where it is: from, to */
    char what[2 * ZDM_TEXT_MAX];      /* it in words */
    uint64_t after_seq;               /* behind the one thing that is wrong, proven again up to here; 0: no */
    char after_by[ZDM_TEXT_MAX + 1];
};

/* trust: a trust file (the chain of versions), which is verified here; fleet: the one that the caller pins, NULL for
 * whatever the file says. ZDM_AUTH, ZDM_PROTOCOL, ZDM_NOMEM. */
enum zdm_code coord_audit_new(const struct zdm_crypto *crypto, const void *trust, size_t n, const struct zdm_id *fleet,
                              struct coord_audit **out, struct zdm_error *err) ZDM_CHECKED;
void coord_audit_free(struct coord_audit *audit);
/* Before the first event. False without memory. */
bool coord_audit_anchor(struct coord_audit *audit, const struct coord_audit_anchor *anchor);
/* The next stored event, as it lies in the store: seq, hashes and bytes are what is examined. False without memory. */
bool coord_audit_feed(struct coord_audit *audit, const struct store_record *record);
/* After the last. */
void coord_audit_finish(struct coord_audit *audit, struct coord_audit_result *out);

const char *coord_audit_finding_name(enum coord_audit_finding finding); /* "changed" */
/* The result as a few lines for people. */
void coord_audit_tell(const struct coord_audit_result *result, struct zdm_buffer *out);

/* ---- Anchors as JSON: what `zdm-agent anchors` prints and the coordinator answers ---- */

/* Adds each row {"shard", "agent", "migration", "epoch", "instance", "generation", "anchor"} of a list, or of the list
 * "anchors" in an object. Rows without an order (generation 0) are passed over. ZDM_INVALID with what is wrong,
 * ZDM_NOMEM. */
enum zdm_code coord_audit_anchors(struct coord_audit *audit, const char *json, size_t n,
                                  struct zdm_error *err) ZDM_CHECKED;

#endif
