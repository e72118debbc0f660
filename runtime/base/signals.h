/*
 * Signals: their names, their numbers, and a clean slate for a child.
 *
 * Owns one constant table. Called by the bindings (names) and by
 * process/child_setup (reset); any thread.
 */
#ifndef MW_BASE_SIGNALS_H
#define MW_BASE_SIGNALS_H

#include <signal.h>
#include <stddef.h>

struct mw_signals_entry {
  const char *name;
  int number;
};

/**
 * All names with their numbers, aliases (SIGIOT, SIGPOLL, SIGCLD) included;
 * of several names for one number the canonical one comes first (signal(7)).
 */
const struct mw_signals_entry *mw_signals_list(size_t *count);

/**
 * The canonical name of a signal, also of a real-time one ("SIGRTMIN+2");
 * NULL if there is no such number.
 */
const char *mw_signals_name(int signum);

/**
 * Gives these signals their default disposition. Async-signal-safe; made for
 * the time between vfork and exec, with all signals blocked (sigaction(2)).
 */
void mw_signals_reset(const sigset_t *set);

#endif
