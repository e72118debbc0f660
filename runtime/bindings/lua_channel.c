#include "bindings/lua_channel.h"

#include <lauxlib.h>
#include <string.h>

#include "base/error_name.h"
#include "bindings/json_decode.h"
#include "bindings/json_encode.h"
#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "bindings/msgpack_decode.h"
#include "bindings/msgpack_encode.h"
#include "ipc/channel.h"

#define CHANNEL_TYPE "mw.core.channel"

/* The callbacks of a channel, as user values of its box. */
enum {
  ON_MESSAGE = 1, /* (value, ...): for whoever listens, with descriptors,
                     or false where those were lost */
  ON_INTERNAL,    /* (value, ...): for the runtime itself, the same */
  ON_SENT,        /* (offset): the kernel has taken everything before it */
  ON_BROKEN,      /* (errname): nothing goes out any more */
  ON_END,         /* (errname): nothing comes any more; nil for a clean end */
  ON_CLOSED,      /* (): the last */
  CALLBACK_COUNT = ON_CLOSED,
  LISTENER, /* (value): the one listener, where on_message would do no more
               than call it; else nil */
  USER_VALUE_COUNT = LISTENER
};

/* In the live table, by address, until on_closed. */
struct channel_box {
  struct mw_channel *channel; /* NULL once it is closed */
  lua_State *main;
  bool json;
  bool wants_sent; /* on_sent is to be called */
  bool may_post;   /* messages may go straight into the queue */
  lua_Integer high_water_mark, max_backlog; /* bytes */
};

static char inherited_key;

/* Pushes a user value of the box, which is found in the live table. */
static bool push_callback(lua_State *L, const struct channel_box *box,
                          int which) {
  if (!lua_checkstack(L, 16))
    return false;
  mw_live_push_user_value(L, box, which);
  return true;
}

/* receiving */

struct arrival {
  struct channel_box *box;
  const struct mw_frame *frame;
  unsigned fd_count;
  bool garbage; /* no value could be made of it */
};

/* Calls the one listener with the value on top of the stack; false where there
   is none. */
static bool tell_listener(lua_State *L, const struct channel_box *box) {
  struct mw_calls *calls = mw_calls(L);
  push_callback(L, box, LISTENER);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_insert(L, -2);
  calls->handlers++;
  lua_call(L, 1, 0);
  calls->handlers--;
  return true;
}

static bool decode(lua_State *L, const struct channel_box *box,
                   const struct mw_frame *frame) {
  size_t offset;
  return box->json
             ? mw_json_decode(L, frame->payload, frame->length, &offset)
             : mw_msgpack_decode(L, frame->payload, frame->length, &offset);
}

/* Whether an internal line is one that a descriptor comes with: those of Node
   by their `cmd`, others say so by the field `descriptor`. */
static bool has_descriptor(lua_State *L, int line, const char *command) {
  lua_pushliteral(L, "descriptor");
  lua_rawget(L, line);
  bool says_so = lua_isboolean(L, -1) && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return says_so || strcmp(command, "NODE_HANDLE") == 0;
}

/* In Node's wire format a message is the runtime's by its `cmd`. Notes there
   whether a descriptor has come with it: a line does not say. */
static bool is_internal(lua_State *L, struct arrival *arrival) {
  if (!arrival->box->json)
    return arrival->frame->kind == MW_FRAME_INTERNAL;
  if (!lua_istable(L, -1))
    return false;
  lua_pushliteral(L, "cmd");
  lua_rawget(L, -2);
  const char *command = lua_tostring(L, -1);
  bool internal = command && strncmp(command, "NODE_", 5) == 0;
  arrival->fd_count = internal && has_descriptor(L, lua_gettop(L) - 1, command);
  lua_pop(L, 1);
  return internal;
}

/* Pushes the descriptors, or false where they are lost; returns how many
   values. They leave the channel when nothing can raise any more. */
static int push_fds(lua_State *L, const struct arrival *arrival) {
  int fds[MW_FRAME_FDS_MAX];
  unsigned count = arrival->fd_count;
  luaL_checkstack(L, MW_FRAME_FDS_MAX, NULL);
  if (!mw_channel_take_fds(arrival->box->channel, fds, count)) {
    lua_pushboolean(L, false);
    return 1;
  }
  for (unsigned i = 0; i < count; i++)
    lua_pushinteger(L, fds[i]);
  return (int)count;
}

/* (arrival): the value of a frame, to the callback that it is for. */
static int deliver(lua_State *L) {
  struct arrival *arrival = lua_touserdata(L, 1);
  if (!decode(L, arrival->box, arrival->frame)) {
    arrival->garbage = true;
    return 0;
  }
  bool internal = is_internal(L, arrival);
  if (!internal && arrival->fd_count == 0 && tell_listener(L, arrival->box))
    return 0;
  push_callback(L, arrival->box, internal ? ON_INTERNAL : ON_MESSAGE);
  lua_insert(L, -2);
  lua_call(L, 1 + push_fds(L, arrival), 0);
  return 0;
}

static int on_frame(void *user, const struct mw_frame *frame) {
  struct arrival arrival = {
      .box = user, .frame = frame, .fd_count = frame->fd_count};
  lua_State *L = arrival.box->main;
  struct mw_calls *calls = mw_calls(L);
  int handlers = calls->handlers;
  if (!lua_checkstack(L, 8))
    return UV_ENOMEM;
  lua_pushcfunction(L, deliver);
  lua_pushlightuserdata(L, &arrival);
  mw_call(L, 1, 0, 0);
  calls->handlers = handlers; /* an error goes past tell_listener */
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

static void tell_error(struct channel_box *box, int which, int error) {
  char name[MW_ERROR_NAME_SIZE];
  if (!push_callback(box->main, box, which))
    return;
  if (error)
    lua_pushstring(box->main, mw_error_name(error, name));
  else
    lua_pushnil(box->main);
  mw_call(box->main, 1, 0, 0);
}

static void on_broken(void *user, int error) {
  tell_error(user, ON_BROKEN, error);
}

static void on_end(void *user, int error) {
  tell_error(user, ON_END, error);
}

static void on_closed(void *user) {
  struct channel_box *box = user;
  lua_State *L = box->main;
  box->channel = NULL;
  if (!push_callback(L, box, ON_CLOSED))
    return;
  mw_live_drop(L, box);
  mw_call(L, 0, 0, 0);
}

static const struct mw_channel_events events = {
    .on_frame = on_frame,
    .on_sent = on_sent,
    .on_broken = on_broken,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* the object */

static void set_callbacks(lua_State *L, int table, int box) {
  static const char *const names[] = {"on_message", "on_internal", "on_sent",
                                      "on_broken",  "on_end",      "on_closed"};
  for (int i = 0; i < CALLBACK_COUNT; i++) {
    lua_getfield(L, table, names[i]);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_setiuservalue(L, box, i + 1);
  }
}

static lua_Integer check_limit(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  lua_Integer limit = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return limit;
}

/* open(fd, "msgpack"|"json", callbacks, limits) -> channel | nil, errname.
   The limits are those of posting: high_water_mark, max_backlog. */
static int channel_open(lua_State *L) {
  mw_check_loop(L, "open a channel");
  static const char *const codecs[] = {"msgpack", "json", NULL};
  int fd = (int)luaL_checkinteger(L, 1);
  bool json = luaL_checkoption(L, 2, NULL, codecs) == 1;
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  struct channel_box *box = lua_newuserdatauv(L, sizeof *box, USER_VALUE_COUNT);
  *box = (struct channel_box){
      .main = mw_calls(L)->main,
      .json = json,
      .may_post = true,
      .high_water_mark = check_limit(L, 4, "high_water_mark"),
      .max_backlog = check_limit(L, 4, "max_backlog"),
  };
  luaL_setmetatable(L, CHANNEL_TYPE);
  set_callbacks(L, 3, 5);
  lua_pushvalue(L, 5);
  mw_live_put(L, box);
  int error = mw_channel_open(mw_loop(L), fd,
                              json ? MW_FRAMING_LINES : MW_FRAMING_BINARY,
                              &events, box, &box->channel);
  if (!error) {
    lua_settop(L, 5);
    return 1;
  }
  mw_live_drop(L, box);
  return mw_push_failure(L, error);
}

static struct channel_box *check_box(lua_State *L) {
  return luaL_checkudata(L, 1, CHANNEL_TYPE);
}

/* The engine's channel; NULL, and a failure pushed, where it is closed. */
static struct mw_channel *open_channel(lua_State *L) {
  struct mw_channel *channel = check_box(L)->channel;
  if (!channel)
    mw_push_failure(L, UV_EBADF);
  return channel;
}

/* What goes on with the frame that was begun is the codec's, which raises
   only where Lua has no memory: the frame is dropped at the next send. */
static bool encode(lua_State *L, const struct channel_box *box, int index,
                   struct mw_buffer *out) {
  return box->json ? mw_json_encode(L, index, "message", out)
                   : mw_msgpack_encode(L, index, "message", out);
}

/* send(value, internal[, fd]) -> offset behind it, bytes that wait;
   nil, errname; or nil, nil, sentence for what cannot be sent. The
   descriptor stays the caller's, open until the peer has it. */
static int channel_send(lua_State *L) {
  struct channel_box *box = check_box(L);
  struct mw_channel *channel = open_channel(L);
  enum mw_frame_kind kind =
      lua_toboolean(L, 3) ? MW_FRAME_INTERNAL : MW_FRAME_MESSAGE;
  int fd = (int)luaL_optinteger(L, 4, -1);
  if (!channel)
    return 2;
  struct mw_buffer *out = mw_channel_begin_frame(channel);
  if (!out)
    return mw_push_failure(L, UV_ENOMEM);
  if (!encode(L, box, 2, out)) {
    mw_channel_drop_frame(channel);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_rotate(L, -3, 2);
    return 3;
  }
  int error = mw_channel_end_frame(channel, kind, &fd, fd >= 0);
  if (error)
    return mw_push_failure(L, error);
  lua_pushinteger(L, (lua_Integer)mw_channel_queued(channel));
  lua_pushinteger(L, (lua_Integer)mw_channel_pending(channel));
  return 2;
}

static lua_Integer pending_of(const struct channel_box *box) {
  return (lua_Integer)mw_channel_pending(box->channel);
}

/* (message) -> whether the peer keeps up; nothing where something is in the
   way, which send() then tells. */
static int post(lua_State *L) {
  struct channel_box *box = lua_touserdata(L, lua_upvalueindex(1));
  if (!box->may_post || !box->channel || pending_of(box) > box->max_backlog)
    return 0;
  struct mw_buffer *out = mw_channel_begin_frame(box->channel);
  if (!out)
    return 0;
  if (!encode(L, box, 1, out)) {
    mw_channel_drop_frame(box->channel);
    return 0;
  }
  if (mw_channel_end_frame(box->channel, MW_FRAME_MESSAGE, NULL, 0))
    return 0;
  lua_pushboolean(L, pending_of(box) < box->high_water_mark);
  return 1;
}

/* poster() -> post: send() for the plain message, made to be quick. */
static int channel_poster(lua_State *L) {
  check_box(L);
  lua_settop(L, 1);
  lua_pushcclosure(L, post, 1);
  return 1;
}

/* allow_posting(boolean): whether a message may go out at once. */
static int channel_allow_posting(lua_State *L) {
  check_box(L)->may_post = lua_toboolean(L, 2);
  return 0;
}

/* set_listener(function | nil) */
static int channel_set_listener(lua_State *L) {
  check_box(L);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, LISTENER);
  return 0;
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

/* unread() -> bytes | nil, errname: what has come and is no message yet. */
static int channel_unread(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  const char *bytes;
  if (!channel)
    return 2;
  ptrdiff_t length = mw_channel_unread(channel, &bytes);
  if (length < 0)
    return mw_push_failure(L, (int)length);
  lua_pushlstring(L, bytes, (size_t)length);
  return 1;
}

/* preload(bytes) -> true | nil, errname: comes before all that is read. */
static int channel_preload(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  if (!channel)
    return 2;
  return mw_push_result(L, mw_channel_preload(channel, bytes, length));
}

/* fileno() -> fd | nil, errname */
static int channel_fileno(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  if (!channel)
    return 2;
  lua_pushinteger(L, mw_channel_fd(channel));
  return 1;
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

static int channel_sent(lua_State *L) {
  struct mw_channel *channel = open_channel(L);
  lua_pushinteger(L, channel ? (lua_Integer)mw_channel_sent(channel) : 0);
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
    return mw_push_failure(L, error);
  lua_pushboolean(L, true);
  return 1;
}

static void close_box(void *object) {
  struct channel_box *box = object;
  if (box->channel)
    mw_channel_close(box->channel);
}

static int channel_close(lua_State *L) {
  close_box(check_box(L));
  return 0;
}

void mw_channels_close(lua_State *L) {
  mw_live_close_all(L, CHANNEL_TYPE, close_box);
}

void mw_channel_set_inherited(lua_State *L,
                              struct mw_inherited_channel inherited) {
  if (inherited.fd < 0)
    return;
  lua_createtable(L, 5, 0);
  lua_pushinteger(L, inherited.fd);
  lua_rawseti(L, -2, 1);
  lua_pushstring(L, inherited.json ? "json" : "msgpack");
  lua_rawseti(L, -2, 2);
  lua_pushinteger(L, inherited.flush_timeout);
  lua_rawseti(L, -2, 3);
  if (inherited.worker_id > 0) {
    lua_pushinteger(L, inherited.worker_id);
    lua_rawseti(L, -2, 4);
    lua_pushinteger(L, inherited.worker_slot);
    lua_rawseti(L, -2, 5);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &inherited_key);
}

bool mw_channel_is_workers(lua_State *L) {
  int top = lua_gettop(L);
  bool found =
      lua_rawgetp(L, LUA_REGISTRYINDEX, &inherited_key) == LUA_TTABLE &&
      lua_rawgeti(L, -1, 4) == LUA_TNUMBER;
  lua_settop(L, top);
  return found;
}

/* inherited() -> fd, "msgpack"|"json", ms for flushing at the exit, and for a
   worker of a cluster its id and slot: the channel to the parent, the first
   time; nothing where there is none. */
static int channel_inherited(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &inherited_key) != LUA_TTABLE)
    return 0;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_rawgeti(L, -3, 3);
  lua_rawgeti(L, -4, 4);
  lua_rawgeti(L, -5, 5);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &inherited_key);
  return 5;
}

static void open_type(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"send", channel_send},
      {"poster", channel_poster},
      {"allow_posting", channel_allow_posting},
      {"set_listener", channel_set_listener},
      {"want_sent", channel_want_sent},
      {"read_start", channel_read_start},
      {"read_stop", channel_read_stop},
      {"unread", channel_unread},
      {"preload", channel_preload},
      {"fileno", channel_fileno},
      {"ref", channel_ref},
      {"unref", channel_unref},
      {"sent", channel_sent},
      {"pending", channel_pending},
      {"drain", channel_drain},
      {"close", channel_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, CHANNEL_TYPE, methods);
}

int luaopen_mw_core_channel(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"inherited", channel_inherited},
      {"open", channel_open},
      {NULL, NULL},
  };
  open_type(L);
  luaL_newlib(L, functions);
  return 1;
}
