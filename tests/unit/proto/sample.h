/*
 * sample.h - one of everything that is encoded, with every field set; for the tests of codecs and the fuzz corpora.
 */
#ifndef TESTS_UNIT_PROTO_SAMPLE_H
#define TESTS_UNIT_PROTO_SAMPLE_H

#include "common/base/seams.h"
#include "proto/codec.h"

struct zdm_id sample_id(uint8_t seed);
struct zdm_hash sample_hash(uint8_t seed);
/* An Ed25519 key from a fixed seed: the same in every run. */
struct zdm_signing_key sample_key(uint8_t seed);

/* Valid plans; every field is set somewhere in one of them. Owned by the caller. */
struct zdm_plan *sample_plan(void);
struct zdm_plan *sample_as_is_plan(void);
struct zdm_notes *sample_notes(void);
struct zdm_survey *sample_survey(void);
/* An envelope with that body, signed by sample_key(1) for fleet sample_id(2). */
struct zdm_envelope sample_envelope(unsigned type, const void *body, size_t n);

void sample_directive(struct zdm_directive *out);
void sample_approval(struct zdm_approval *out);
void sample_undo_order(struct zdm_undo_order *out);
/* Root sample_key(1), coordinator sample_key(3), operator sample_key(4). */
void sample_trust(struct zdm_trust *out);
void sample_request(struct zdm_request *out);
void sample_enrolment(struct zdm_enrolment *out);
void sample_report(struct zdm_report *out);
void sample_token(struct zdm_token *out);
/* A frame of that type, false when there is no such type. */
bool sample_frame(unsigned type, struct zdm_frame *out);

#endif
