/*
 * The host: one loop, one main Lua state, and the order in which they are
 * born and die. Opened and closed by main.c.
 */
#ifndef MW_HOST_H
#define MW_HOST_H

/** Runs the whole program; returns its exit status. */
int mw_host_run(int argc, char **argv);

#endif
