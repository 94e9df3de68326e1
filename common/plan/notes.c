/*
 * notes.c - see notes.h.
 */
#include "common/plan/notes.h"

#include <stdlib.h>

#include "common/plan/names.h"

void zdm_notes_free(struct zdm_notes *notes)
{
    if (notes == NULL)
        return;
    for (size_t i = 0; notes->phases != NULL && i < notes->n_phases; i++) {
        free(notes->phases[i].title);
        free(notes->phases[i].prose);
    }
    for (size_t i = 0; notes->steps != NULL && i < notes->n_steps; i++) {
        free(notes->steps[i].source);
        free(notes->steps[i].does);
        free(notes->steps[i].lock);
    }
    for (size_t i = 0; notes->findings != NULL && i < notes->n_findings; i++) {
        free(notes->findings[i].rule);
        free(notes->findings[i].message);
        free(notes->findings[i].hint);
    }
    for (size_t i = 0; notes->waivers != NULL && i < notes->n_waivers; i++) {
        free(notes->waivers[i].rule);
        free(notes->waivers[i].reason);
    }
    free(notes->file);
    free(notes->title);
    free(notes->phases);
    free(notes->steps);
    free(notes->findings);
    free(notes->waivers);
    free(notes);
}

const char *zdm_level_name(enum zdm_level level)
{
    static const char *const names[] = {
        [ZDM_LEVEL_NOTE] = "note", [ZDM_LEVEL_WARNING] = "warning", [ZDM_LEVEL_ERROR] = "error"};
    return ZDM_NAME_IN(names, level);
}
