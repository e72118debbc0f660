/*
 * The environment of a child: ours or another, with some variables changed.
 *
 * Owns nothing: lists of pointers to the texts of others, which end with NULL.
 * Called by bindings; one thread.
 */
#ifndef MW_PROCESS_ENVIRONMENT_H
#define MW_PROCESS_ENVIRONMENT_H

#include <stddef.h>

/** How many pointers mw_environment_change() may write. */
size_t mw_environment_room(char *const *env, char *const *changes);

/**
 * Writes the list that comes of `env`, of our own environment where that is
 * NULL, by `changes`: "NAME=VALUE" sets a variable, "NAME" takes it out.
 */
void mw_environment_change(char *const *env, char *const *changes,
                           char **result);

#endif
