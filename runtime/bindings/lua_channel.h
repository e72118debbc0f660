/*
 * mw.core.channel: the engine's channel with Lua values in its frames, by
 * MessagePack or by JSON. Required by mw.ipc alone.
 */
#ifndef MW_BINDINGS_LUA_CHANNEL_H
#define MW_BINDINGS_LUA_CHANNEL_H

#include <lua.h>

#include "ipc/inherited.h"

/** Opens mw.core.channel. */
int luaopen_mw_core_channel(lua_State *L);

/** Keeps the channel to the parent for whoever asks, in `inherited`. */
void mw_channel_set_inherited(lua_State *L,
                              struct mw_inherited_channel inherited);

/** Closes all channels of the state, before its loop's last turn. */
void mw_channels_close(lua_State *L);

#endif
