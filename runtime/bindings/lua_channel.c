#include "bindings/lua_channel.h"

#include <lauxlib.h>
#include <string.h>

#include "base/error_name.h"
#include "bindings/json_decode.h"
#include "bindings/json_encode.h"
#include "bindings/lua_call.h"
#include "bindings/msgpack_decode.h"
#include "bindings/msgpack_encode.h"
#include "ipc/channel.h"

#define CHANNEL_TYPE "mw.core.channel"

/* The callbacks of a channel, as user values of its box. */
enum {
  ON_MESSAGE = 1, /* (value, fds): for whoever listens */
  ON_INTERNAL,    /* (value, fds): for the runtime itself */
  ON_SENT,        /* (offset): the kernel has taken everything before it */
  ON_END,         /* (errname): nothing comes any more; nil for a clean end */
  ON_CLOSED,      /* (): the last */
  CALLBACK_COUNT = ON_CLOSED
};

/* In the live table, by address, until on_closed. */
struct channel_box {
  struct mw_channel *channel; /* NULL once it is closed */
  lua_State *main;
  bool json;
  bool wants_sent; /* on_sent is to be called */
};

static char live_key;
static char inherited_key;

/* Pushes a callback of the box and the box itself off the live table. */
static bool push_callback(lua_State *L, const struct channel_box *box,
                          int which) {
  if (!lua_checkstack(L, 16))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key);
  lua_rawgetp(L, -1, box);
  lua_getiuservalue(L, -1, which);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}

/* receiving */

struct arrival {
  struct channel_box *box;
  const struct mw_frame *frame;
  bool garbage; /* no value could be made of it */
};

static bool decode(lua_State *L, const struct channel_box *box,
                   const struct mw_frame *frame) {
  size_t offset;
  return box->json
             ? mw_json_decode(L, frame->payload, frame->length, &offset)
             : mw_msgpack_decode(L, frame->payload, frame->length, &offset);
}

/* In Node's wire format a message is the runtime's by its `cmd`. */
static bool is_internal(lua_State *L, const struct arrival *arrival) {
  if (!arrival->box->json)
    return arrival->frame->kind == MW_FRAME_INTERNAL;
  if (!lua_istable(L, -1))
    return false;
  lua_pushliteral(L, "cmd");
  lua_rawget(L, -2);
  const char *command = lua_tostring(L, -1);
  bool internal = command && strncmp(command, "NODE_", 5) == 0;
  lua_pop(L, 1);
  return internal;
}

/* How many of the waiting descriptors are the frame's. A line does not say:
   there Node sends one at a time, with a message of its own. */
static unsigned count_fds(const struct arrival *arrival, bool internal) {
  if (!arrival->box->json)
    return arrival->frame->fd_count;
  return internal && mw_channel_fds_waiting(arrival->box->channel) > 0 ? 1 : 0;
}

/* Pushes the list of them, nil where there is none. They leave the channel
   when nothing can raise any more. */
static void push_fds(lua_State *L, struct mw_channel *channel, unsigned count) {
  int fds[MW_FRAME_FDS_MAX];
  if (count == 0) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, (int)count, 0);
  mw_channel_take_fds(channel, fds, count);
  for (unsigned i = 0; i < count; i++) {
    lua_pushinteger(L, fds[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

/* (arrival): the value of a frame, to the callback that it is for. */
static int deliver(lua_State *L) {
  struct arrival *arrival = lua_touserdata(L, 1);
  if (!decode(L, arrival->box, arrival->frame)) {
    arrival->garbage = true;
    return 0;
  }
  bool internal = is_internal(L, arrival);
  push_callback(L, arrival->box, internal ? ON_INTERNAL : ON_MESSAGE);
  lua_insert(L, -2);
  push_fds(L, arrival->box->channel, count_fds(arrival, internal));
  lua_call(L, 2, 0);
  return 0;
}

static int on_frame(void *user, const struct mw_frame *frame) {
  struct arrival arrival = {.box = user, .frame = frame};
  lua_State *L = arrival.box->main;
  if (!lua_checkstack(L, 8))
    return UV_ENOMEM;
  lua_pushcfunction(L, deliver);
  lua_pushlightuserdata(L, &arrival);
  mw_call(L, 1, 0, 0);
  return arrival.garbage ? UV_EPROTO : 0;
}

/* the other events */

static void on_sent(void *user, uint64_t offset) {
  struct channel_box *box = user;
  if (!box->wants_sent || !push_callback(box->main, box, ON_SENT))
    return;
  lua_pushinteger(box->main, (lua_Integer)offset);
  mw_call(box->main, 1, 0, 0);
}

static void on_end(void *user, int error) {
  struct channel_box *box = user;
  char name[MW_ERROR_NAME_SIZE];
  if (!push_callback(box->main, box, ON_END))
    return;
  if (error)
    lua_pushstring(box->main, mw_error_name(error, name));
  else
    lua_pushnil(box->main);
  mw_call(box->main, 1, 0, 0);
}

/* Needs no memory, so it cannot raise. */
static void leave_live(lua_State *L, struct channel_box *box) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key);
  lua_pushnil(L);
  lua_rawsetp(L, -2, box);
  lua_pop(L, 1);
}

static void on_closed(void *user) {
  struct channel_box *box = user;
  lua_State *L = box->main;
  box->channel = NULL;
  if (!push_callback(L, box, ON_CLOSED))
    return;
  leave_live(L, box);
  mw_call(L, 0, 0, 0);
}

static const struct mw_channel_events events = {
    .on_frame = on_frame,
    .on_sent = on_sent,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* the object */

static int push_failure(lua_State *L, int code) {
  char name[MW_ERROR_NAME_SIZE];
  lua_pushnil(L);
  lua_pushstring(L, mw_error_name(code, name));
  return 2;
}

static void set_callbacks(lua_State *L, int table, int box) {
  static const char *const names[] = {"on_message", "on_internal", "on_sent",
                                      "on_end", "on_closed"};
  for (int i = 0; i < CALLBACK_COUNT; i++) {
    lua_getfield(L, table, names[i]);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_setiuservalue(L, box, i + 1);
  }
}

/* open(fd, "msgpack"|"json", callbacks) -> channel | nil, errname */
static int channel_open(lua_State *L) {
  static const char *const codecs[] = {"msgpack", "json", NULL};
  int fd = (int)luaL_checkinteger(L, 1);
  bool json = luaL_checkoption(L, 2, NULL, codecs) == 1;
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  struct channel_box *box = lua_newuserdatauv(L, sizeof *box, CALLBACK_COUNT);
  *box = (struct channel_box){.main = mw_calls(L)->main, .json = json};
  luaL_setmetatable(L, CHANNEL_TYPE);
  set_callbacks(L, 3, 4);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key);
  lua_pushvalue(L, 4);
  lua_rawsetp(L, -2, box);
  int error = mw_channel_open(mw_loop(L), fd,
                              json ? MW_FRAMING_LINES : MW_FRAMING_BINARY,
                              &events, box, &box->channel);
  if (!error) {
    lua_settop(L, 4);
    return 1;
  }
  leave_live(L, box);
  return push_failure(L, error);
}

static struct channel_box *check_box(lua_State *L) {
  return luaL_checkudata(L, 1, CHANNEL_TYPE);
}

/* The engine's channel; NULL, and a failure pushed, where it is closed. */
static struct mw_channel *open_channel(lua_State *L) {
  struct mw_channel *channel = check_box(L)->channel;
  if (!channel)
    push_failure(L, UV_EBADF);
  return channel;
}

static unsigned check_fds(lua_State *L, int index, int *fds) {
  if (lua_isnoneornil(L, index))
    return 0;
  lua_Integer count = luaL_len(L, index);
  luaL_argcheck(L, count <= MW_FRAME_FDS_MAX, index, "too many descriptors");
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, index, i);
    fds[i - 1] = (int)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  return (unsigned)count;
}

/* What goes on with the frame that was begun is the codec's, which raises
   only where Lua has no memory: the frame is dropped at the next send. */
static bool encode(lua_State *L, const struct channel_box *box, int index,
                   struct mw_buffer *out) {
  return box->json ? mw_json_encode(L, index, "message", out)
                   : mw_msgpack_encode(L, index, "message", out);
}

/* send(value, internal, fds) -> offset behind it, bytes that wait;
   nil, errname; or nil, nil, sentence for what cannot be sent. The
   descriptors are the channel's once it has succeeded. */
static int channel_send(lua_State *L) {
  int fds[MW_FRAME_FDS_MAX];
  struct channel_box *box = check_box(L);
  struct mw_channel *channel = open_channel(L);
  enum mw_frame_kind kind =
      lua_toboolean(L, 3) ? MW_FRAME_INTERNAL : MW_FRAME_MESSAGE;
  unsigned fd_count = check_fds(L, 4, fds);
  if (!channel)
    return 2;
  struct mw_buffer *out = mw_channel_begin_frame(channel);
  if (!out)
    return push_failure(L, UV_ENOMEM);
  if (!encode(L, box, 2, out)) {
    mw_channel_drop_frame(channel);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_rotate(L, -3, 2);
    return 3;
  }
  int error = mw_channel_end_frame(channel, kind, fds, fd_count);
  if (error)
    return push_failure(L, error);
  lua_pushinteger(L, (lua_Integer)mw_channel_queued(channel));
  lua_pushinteger(L, (lua_Integer)mw_channel_pending(channel));
  return 2;
}

/* want_sent(boolean): whether on_sent is to be called. */
static int channel_want_sent(lua_State *L) {
  check_box(L)->wants_sent = lua_toboolean(L, 2);
  return 0;
}

static int channel_read_start(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  if (channel)
    mw_channel_read_start(channel);
  return 0;
}

static int channel_read_stop(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  if (channel)
    mw_channel_read_stop(channel);
  return 0;
}

static int channel_ref(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  if (channel)
    mw_channel_set_referenced(channel, true);
  return 0;
}

static int channel_unref(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  if (channel)
    mw_channel_set_referenced(channel, false);
  return 0;
}

static int channel_pending(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  lua_pushinteger(L, channel ? (lua_Integer)mw_channel_pending(channel) : 0);
  return 1;
}

/* drain(ms) -> true | nil, errname: waits until all is sent. */
static int channel_drain(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  int timeout = (int)luaL_checkinteger(L, 2);
  if (!channel)
    return 2;
  int error = mw_channel_drain(channel, timeout);
  if (error)
    return push_failure(L, error);
  lua_pushboolean(L, true);
  return 1;
}

static int channel_close(lua_State *L) {
  struct channel_box *box = check_box(L);
  if (box->channel)
    mw_channel_close(box->channel);
  return 0;
}

void mw_channels_close(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key) == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      struct channel_box *box = lua_touserdata(L, -1);
      if (box->channel)
        mw_channel_close(box->channel);
    }
  }
  lua_pop(L, 1);
}

void mw_channel_set_inherited(lua_State *L,
                              struct mw_inherited_channel inherited) {
  if (inherited.fd < 0)
    return;
  lua_createtable(L, 3, 0);
  lua_pushinteger(L, inherited.fd);
  lua_rawseti(L, -2, 1);
  lua_pushstring(L, inherited.json ? "json" : "msgpack");
  lua_rawseti(L, -2, 2);
  lua_pushinteger(L, inherited.flush_timeout);
  lua_rawseti(L, -2, 3);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &inherited_key);
}

/* inherited() -> fd, "msgpack"|"json", ms for flushing at the exit: the
   channel to the parent, the first time; nothing where there is none. */
static int channel_inherited(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &inherited_key) != LUA_TTABLE)
    return 0;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_rawgeti(L, -3, 3);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &inherited_key);
  return 3;
}

static void open_type(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"send", channel_send},
      {"want_sent", channel_want_sent},
      {"read_start", channel_read_start},
      {"read_stop", channel_read_stop},
      {"ref", channel_ref},
      {"unref", channel_unref},
      {"pending", channel_pending},
      {"drain", channel_drain},
      {"close", channel_close},
      {NULL, NULL},
  };
  luaL_newmetatable(L, CHANNEL_TYPE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_mw_core_channel(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"inherited", channel_inherited},
      {"open", channel_open},
      {NULL, NULL},
  };
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &live_key);
  open_type(L);
  luaL_newlib(L, functions);
  return 1;
}
