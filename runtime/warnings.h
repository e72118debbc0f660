/*
 * What the function `warn` does: as in `lua`, off at first, switched by the
 * messages "@on" and "@off", to stderr. Set by state, lives as long as that.
 */
#ifndef MW_WARNINGS_H
#define MW_WARNINGS_H

#include <lua.h>

/** Has the warnings of a state that is new written. */
void mw_warnings_open(lua_State *L);

#endif
