/*
 * fuzz_survey_codec.c - what agents answer to a survey: zdmctl decodes it and shows it.
 */
#include "proto/codec.h"
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zdm_survey *survey = NULL;
    struct zdm_error err;
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    if (zdm_survey_decode(data, size, &survey, &err) != ZDM_OK)
        return 0;
    zdm_survey_encode(survey, &again);
    fuzz_expect_same(&again, data, size);
    zdm_survey_free(survey);
    return 0;
}
