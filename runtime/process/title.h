/*
 * The command line and the name of this process, as others see them (ps(1)),
 * where it is not the one that was executed.
 *
 * Owns the memory of the first command line, which the kernel shows to who
 * asks. Called by the host; one thread.
 */
#ifndef MW_PROCESS_TITLE_H
#define MW_PROCESS_TITLE_H

/** Remembers where the command line is. Comes before uv_setup_args(). */
void mw_title_keep(int argc, char **argv);

/**
 * Shows another command line, cut where there is no more room, and the name
 * of the executable at `path` (proc(5), cmdline and comm).
 */
void mw_title_show(char *const *argv, const char *path);

#endif
