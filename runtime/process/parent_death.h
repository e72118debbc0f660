/*
 * The death of the parent, for a child that is to end in order: it has some
 * time to say good-bye, and is killed after it, whatever it does. The child's
 * own half; the parent asks for it by the death signal of spawn_options.
 */
#ifndef MW_PROCESS_PARENT_DEATH_H
#define MW_PROCESS_PARENT_DEATH_H

/**
 * The signal that tells a child of its parent's death
 * (PR_SET_PDEATHSIG(2const)). A program that does not know of it is ended by it
 * at once.
 */
int mw_parent_death_signal(void);

/**
 * Takes the signal, in a process that was started to get it: when it comes,
 * the process has `grace_ms` milliseconds until SIGKILL. Does nothing in any
 * other process. Returns 0 or a negative code.
 */
int mw_parent_death_watch(int grace_ms);

/** How long it has from then on, where the signal comes later. */
void mw_parent_death_set_grace(int grace_ms);

#endif
