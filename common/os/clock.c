/*
 * clock.c - see clock.h.
 */
#include "common/os/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now = {0};
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_REALTIME);
}

static int64_t system_boot_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_BOOTTIME);
}

static const struct zdm_clock system_clock = {.wall_ms = system_wall_ms, .boot_ms = system_boot_ms, .self = NULL};

const struct zdm_clock *zdm_clock_system(void)
{
    return &system_clock;
}

void zdm_wall_text(char *out, size_t size, int64_t wall_ms)
{
    /* Rounds down, so that a time before 1970 is right too. */
    time_t seconds = (time_t)(wall_ms >= 0 ? wall_ms / 1000 : -((999 - wall_ms) / 1000));
    struct tm parts;
    if (size == 0)
        return;
    if (gmtime_r(&seconds, &parts) == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out[0] = '\0';
}
