/*
 * fuzz_plan_codec.c - plans, notes, and the bodies of signed messages.
 */
#include "proto/codec.h"
#include "tests/fuzz/fuzz_codec.h"

static void fuzz_plan(const uint8_t *bytes, size_t n)
{
    struct zdm_plan *plan = NULL;
    struct zdm_error err;
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    if (zdm_plan_decode(fuzz_crypto(), bytes, n, &plan, &err) != ZDM_OK)
        return;
    zdm_plan_encode(fuzz_crypto(), plan, &again);
    fuzz_expect_same(&again, bytes, n);
    zdm_plan_unref(plan);
}

static void fuzz_bodies(const uint8_t *bytes, size_t n)
{
    struct zdm_error err;
    struct zdm_notes *notes = NULL;
    struct zdm_directive directive;
    struct zdm_request request;
    struct zdm_trust trust;
    struct zdm_approval approval;
    struct zdm_undo_order order;
    if (zdm_notes_decode(bytes, n, &notes, &err) == ZDM_OK)
        zdm_notes_free(notes);
    if (zdm_directive_decode(bytes, n, &directive, &err) == ZDM_OK)
        zdm_directive_fini(&directive);
    if (zdm_request_decode(bytes, n, &request, &err) == ZDM_OK)
        zdm_request_fini(&request);
    if (zdm_trust_decode(bytes, n, &trust, &err) == ZDM_OK)
        zdm_trust_fini(&trust);
    if (zdm_approval_decode(bytes, n, &approval, &err) == ZDM_OK) {
        if ((approval.action == ZDM_APPROVE_ENTER && approval.phase == 0) ||
            (approval.purge_now && approval.action != ZDM_APPROVE_PURGE))
            abort();
        zdm_approval_fini(&approval);
    }
    if (zdm_undo_order_decode(bytes, n, &order, &err) == ZDM_OK)
        zdm_undo_order_fini(&order);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_plan(data, size);
    fuzz_bodies(data, size);
    return 0;
}
