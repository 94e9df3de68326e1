#include "tests/attack/attack.h"
