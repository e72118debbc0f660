/*
 * The program that this process runs, replaced in place by another: same pid,
 * same children, and the descriptors that are named. Owns nothing. The main
 * thread, whose children are those that hear of its end.
 */
#ifndef MW_PROCESS_IMAGE_H
#define MW_PROCESS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Lets no signal come, or lets those come that have waited. A new image
 * inherits both: what comes while nobody listens waits for it
 * (pthread_sigmask(3)).
 */
int mw_image_hold_signals(bool held);

/**
 * Runs a file in place of this one (execve(2)); `argv` and `env` end with NULL.
 * It inherits `fds`, which are close-on-exec again where this returns: then
 * with a negative code, and nothing has happened.
 */
int mw_image_replace(const char *file, char *const argv[], char *const env[],
                     const int *fds, size_t count);

#endif
