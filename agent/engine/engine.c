/*
 * engine.c - what all engines share: how a result and a journal row are freed, and the names of the enumerations.
 */
#include "agent/engine/engine.h"

#include <stdlib.h>
#include <string.h>

void agent_journal_fini(struct agent_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    zdm_envelope_fini(&journal->directive);
    zdm_envelope_fini(&journal->plan);
    free(journal->cursor);
    free(journal->bound);
    memset(journal, 0, sizeof *journal);
}

void agent_result_free(struct agent_result *result)
{
    if (result == NULL) {
        return;
    }
    for (size_t i = 0; i < result->n_journals; i++) {
        agent_journal_fini(&result->journals[i]);
    }
    free(result->journals);
    free(result->hidden);
    free(result->interrupted);
    free(result->compared);
    zdm_survey_free(result->survey);
    free(result->cursor);
    free(result->bound);
    free(result);
}

enum agent_outcome agent_outcome_of(enum zdm_code code)
{
    if (code == ZDM_LOCK) {
        return AGENT_LOCK;
    }
    if (code == ZDM_UNKNOWN) {
        return AGENT_UNKNOWN;
    }
    if (code == ZDM_NOT_FOUND) {
        return AGENT_ABSENT;
    }
    switch (zdm_code_class(code)) {
    case ZDM_CLASS_NONE:
        return AGENT_OK;
    case ZDM_CLASS_RETRY:
        return AGENT_RETRY;
    case ZDM_CLASS_FAIL:
        return AGENT_FAIL;
    case ZDM_CLASS_FENCE:
        return AGENT_FENCED;
    case ZDM_CLASS_BUG:
        return AGENT_BUG;
    }
    return AGENT_BUG;
}

const char *agent_outcome_name(enum agent_outcome outcome)
{
    switch (outcome) {
    case AGENT_OK:
        return "ok";
    case AGENT_ALREADY:
        return "already";
    case AGENT_ABSENT:
        return "absent";
    case AGENT_RETRY:
        return "retry";
    case AGENT_LOCK:
        return "lock";
    case AGENT_FENCED:
        return "fenced";
    case AGENT_UNKNOWN:
        return "unknown";
    case AGENT_EARLY:
        return "early";
    case AGENT_FAIL:
        return "fail";
    case AGENT_BUG:
        return "bug";
    }
    return "?";
}

const char *agent_run_name(enum agent_run run)
{
    switch (run) {
    case AGENT_RUN_NONE:
        return "none";
    case AGENT_RUN_DDL:
        return "ddl";
    case AGENT_RUN_INSTALL_SYNC:
        return "install_sync";
    case AGENT_RUN_REMOVE_SYNC:
        return "remove_sync";
    case AGENT_RUN_BOUND:
        return "bound";
    case AGENT_RUN_BATCH:
        return "batch";
    case AGENT_RUN_VALIDATE:
        return "validate";
    case AGENT_RUN_INDEX_BUILD:
        return "index_build";
    case AGENT_RUN_INDEX_DROP_INVALID:
        return "index_drop_invalid";
    case AGENT_RUN_CHECK_CHUNK:
        return "check_chunk";
    case AGENT_RUN_HIDE:
        return "hide";
    case AGENT_RUN_UNHIDE:
        return "unhide";
    case AGENT_RUN_PURGE:
        return "purge";
    case AGENT_RUN_REINDEX:
        return "reindex";
    case AGENT_RUN_LONG_SQL:
        return "long_sql";
    case AGENT_RUN_WAIT:
        return "wait";
    case AGENT_RUN_PURGE_LEFTOVERS:
        return "purge_leftovers";
    case AGENT_RUN_UNDO_DDL:
        return "undo_ddl";
    case AGENT_RUN_UNDO_SYNC:
        return "undo_sync";
    case AGENT_RUN_UNDO_REMOVE:
        return "undo_remove";
    case AGENT_RUN_RESTORE:
        return "restore";
    case AGENT_RUN_INDEX_DROP:
        return "index_drop";
    case AGENT_RUN_IMAGES_BACK:
        return "images_back";
    case AGENT_RUN_UNDO_BEGIN:
        return "undo_begin";
    case AGENT_RUN_UNDO_END:
        return "undo_end";
    case AGENT_RUN_SPEND_APPROVALS:
        return "spend_approvals";
    case AGENT_RUN_STEP_DONE:
        return "step_done";
    case AGENT_RUN_STEP_BACK:
        return "step_back";
    case AGENT_RUN_STOP:
        return "stop";
    }
    return "?";
}

const char *agent_proof_name(enum agent_proof proof)
{
    switch (proof) {
    case AGENT_PROOF_NONE:
        return "none";
    case AGENT_PROOF_DONE:
        return "done";
    case AGENT_PROOF_NOT_DONE:
        return "not done";
    case AGENT_PROOF_LEFTOVER:
        return "leftover";
    case AGENT_PROOF_FOREIGN:
        return "foreign";
    case AGENT_PROOF_UNKNOWN:
        return "unknown";
    }
    return "?";
}
