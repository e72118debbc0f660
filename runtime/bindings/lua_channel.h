/*
 * mw.core.channel: the engine's channel with Lua values in its frames, by
 * MessagePack or by JSON. Required by mw.ipc alone.
 */
#ifndef MW_BINDINGS_LUA_CHANNEL_H
#define MW_BINDINGS_LUA_CHANNEL_H

#include <lua.h>

/** Opens mw.core.channel. */
int luaopen_mw_core_channel(lua_State *L);

/** Closes all channels of the state, before its loop's last turn. */
void mw_channels_close(lua_State *L);

#endif
