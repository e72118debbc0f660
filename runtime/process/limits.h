/*
 * Resource limits: their names.
 *
 * Owns one constant table. Called by lua_process; any thread. The limits
 * themselves are applied by process/child_setup.
 */
#ifndef MW_PROCESS_LIMITS_H
#define MW_PROCESS_LIMITS_H

#include <stddef.h>

/**
 * The RLIMIT_* number for a name like "nofile", -1 if there is none
 * (getrlimit(2)).
 */
int mw_limits_number(const char *name);

/** The name at `index`, NULL past the last. */
const char *mw_limits_name_at(size_t index);

#endif
