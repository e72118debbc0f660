/*
 * Names of error codes.
 *
 * Owns nothing. Called by bindings that hand a failure to Lua by name; any
 * thread.
 */
#ifndef MW_BASE_ERROR_NAME_H
#define MW_BASE_ERROR_NAME_H

#define MW_ERROR_NAME_SIZE 64

/**
 * The name ("ENOENT") of a negative uv code, also for kernel errors that uv
 * has no name for. Returns `buf`, always a terminated string.
 */
const char *mw_error_name(int code, char buf[MW_ERROR_NAME_SIZE]);

#endif
