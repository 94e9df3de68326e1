/*
 * clock.h - the real clock behind struct zdm_clock.
 */
#ifndef ZDM_OS_CLOCK_H
#define ZDM_OS_CLOCK_H

#include "common/base/seams.h"

const struct zdm_clock *zdm_clock_system(void);
/* Text of a wall time: "2026-11-22T13:05:09Z"; out has at least 32 bytes. */
void zdm_wall_text(char *out, size_t size, int64_t wall_ms);

#endif
