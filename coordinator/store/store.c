/*
 * store.c - what every store has in common. See store.h.
 */
#include "coordinator/store/store.h"

const char *store_result_name(enum store_result result)
{
    switch (result) {
    case STORE_OK:
        return "ok";
    case STORE_DEPOSED:
        return "deposed";
    case STORE_UNKNOWN:
        return "unknown";
    case STORE_FULL:
        return "full";
    case STORE_IO:
        return "io";
    case STORE_CORRUPT:
        return "corrupt";
    case STORE_BUSY:
        return "busy";
    }
    return "?";
}
