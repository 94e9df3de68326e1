/*
 * journal.h - what the journals of all engines have in common: values as texts for statements, rows of zdm.migration
 * from text fields, and the rules of signatures that are used up.
 *
 * A field is what the server says as text: numbers in digits, bytes in hexadecimal, truth as "1", "t" or "true"; NULL
 * for SQL NULL.
 */
#ifndef AGENT_ENGINE_JOURNAL_H
#define AGENT_ENGINE_JOURNAL_H

#include "agent/engine/engine.h"

enum { AGENT_NUMBER_SIZE = 24 };

/* Digits of a number into out; returns out. */
const char *agent_number(char out[AGENT_NUMBER_SIZE], uint64_t number);
const char *agent_signed(char out[AGENT_NUMBER_SIZE], int64_t number);
/* Hexadecimal digits, malloc'd; NULL without memory. */
char *agent_hex(const void *bytes, size_t n);

/* Numbers and byte strings of a fence. */
struct agent_fence_text {
    char epoch[AGENT_NUMBER_SIZE], generation[AGENT_NUMBER_SIZE];
    char instance[ZDM_ID_HEX_SIZE], anchor[ZDM_HASH_HEX_SIZE];
};
void agent_fence_text(struct agent_fence_text *out, const struct zdm_fence *fence);

/* A row of zdm.migration with its plan, in this order: migration, plan_hash, epoch, instance, generation, anchor,
 * digest, directive, directive_signature, the plan's envelope and signature (both NULL: not stored), step, cursor,
 * bound, walked, rows_done, rows_total, failed_attempt, failed_step, failed_code, failed_text, trust_version,
 * entered_phase, reached_phase, switched_phase, purge_now, purge_generation, purge_generation_now, undo_nonce, and the
 * remark of the rollback under way. False: the row is damaged, or there is no memory; freed with agent_journal_fini. */
enum { AGENT_JOURNAL_FIELDS = 30 };
bool agent_journal_read(struct agent_journal *out, const char *const *fields);

/* What a result says of the row: step, cursor, bound, walked, rows_done, rows_total, entered_phase, reached_phase,
 * switched_phase, purge_now, purge_generation, purge_generation_now, undo_nonce. False: no memory. */
enum { AGENT_PROGRESS_FIELDS = 13 };
bool agent_progress_read(struct agent_result *out, const char *const *fields);

/* Of an ACCEPT, as parameters 1 to 18 of its statement: migration, epoch, generation, instance, anchor, digest, plan
 * hash, directive, directive's signature, trust version, whether it ends a rollback, purge_goes_on, amends, the phase
 * that it reaches; then epoch, generation, instance and step of the row by which another plan was judged. */
enum { AGENT_ACCEPT_PARAMS = 18 };
struct agent_accept_text {
    const char *params[AGENT_ACCEPT_PARAMS];
    struct agent_fence_text fence, known;
    char digest[ZDM_HASH_HEX_SIZE], plan[ZDM_HASH_HEX_SIZE], signature[2 * 64 + 1];
    char trust[AGENT_NUMBER_SIZE], reach[AGENT_NUMBER_SIZE], step[AGENT_NUMBER_SIZE];
    char *directive;
};
/* False: no memory. It points into itself and is freed with agent_accept_text_fini. */
bool agent_accept_text(struct agent_accept_text *out, const struct agent_op *op);
void agent_accept_text_fini(struct agent_accept_text *text);

enum zdm_code agent_fenced(struct zdm_error *err);
/* REFUSED: `what` was used before. */
enum zdm_code agent_refuse_spent(const char *what, struct zdm_error *err);
/* Of an UNDO_BEGIN: REFUSED when what it would bring back was really dropped. */
enum zdm_code agent_refuse_purged(const struct agent_op *op, enum zdm_engine engine, struct zdm_error *err) ZDM_CHECKED;
/* Of a SPEND_APPROVALS: the row, as the result has it, says so already: a lost answer, or approvals that add nothing.
 */
bool agent_is_entered(const struct agent_op *op, const struct agent_result *row);

#endif
