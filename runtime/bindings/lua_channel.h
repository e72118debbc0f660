/*
 * mw.core.channel: the engine's channel with Lua values in its frames, by
 * MessagePack or by JSON. Required by mw.ipc alone.
 */
#ifndef MW_BINDINGS_LUA_CHANNEL_H
#define MW_BINDINGS_LUA_CHANNEL_H

#include <lua.h>
#include <stdbool.h>

#include "ipc/inherited.h"

/** Opens mw.core.channel. */
int luaopen_mw_core_channel(lua_State *L);

/** Keeps the channel to the parent for whoever asks, in `inherited`. */
void mw_channel_set_inherited(lua_State *L,
                              struct mw_inherited_channel inherited);

/** Whether that channel makes the process a worker of a cluster, until somebody
    has asked for it. */
bool mw_channel_is_workers(lua_State *L);

/** Closes all channels of the state, before its loop's last turn. */
void mw_channels_close(lua_State *L);

#endif
