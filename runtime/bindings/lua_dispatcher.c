#include "bindings/lua_dispatcher.h"

#include <lauxlib.h>

#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "cluster/dispatcher.h"
#include "cluster/handoff.h"
#include "cluster/policy.h"
#include "net/socket.h"

#define OUTLET_TYPE "mw.core.dispatcher.outlet"
#define DISPATCHER_TYPE "mw.core.dispatcher"

/* User values. */
enum { ON_END = 1 };
enum { PICK = 1 };

/* Live until on_closed. */
struct outlet_box {
  struct mw_outlet *outlet; /* NULL once it is closed */
  lua_State *main;
};

struct dispatcher_box {
  struct mw_dispatcher *dispatcher; /* NULL once it is closed */
  lua_State *main;
};

/* outlets */

static void on_outlet_end(void *user) {
  struct outlet_box *box = user;
  if (!lua_checkstack(box->main, 8))
    return;
  mw_live_push_user_value(box->main, box, ON_END);
  mw_call(box->main, 0, 0, 0);
}

static void on_outlet_closed(void *user) {
  struct outlet_box *box = user;
  box->outlet = NULL;
  if (lua_checkstack(box->main, 8))
    mw_live_drop(box->main, box);
}

static const struct mw_outlet_events outlet_events = {
    .on_end = on_outlet_end,
    .on_closed = on_outlet_closed,
};

/* outlet(fd, on_end) -> outlet | nil, errname */
static int new_outlet(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  struct outlet_box *box = lua_newuserdatauv(L, sizeof *box, ON_END);
  *box = (struct outlet_box){.main = mw_calls(L)->main};
  luaL_setmetatable(L, OUTLET_TYPE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, ON_END);
  lua_pushvalue(L, 3);
  mw_live_put(L, box);
  int error = mw_outlet_open(mw_loop(L), fd, &outlet_events, box, &box->outlet);
  if (!error)
    return 1;
  mw_live_drop(L, box);
  return mw_push_failure(L, error);
}

static struct outlet_box *check_outlet(lua_State *L, int index) {
  return luaL_checkudata(L, index, OUTLET_TYPE);
}

/* set_active(boolean): whether the worker is to be given connections. */
static int outlet_set_active(lua_State *L) {
  struct outlet_box *box = check_outlet(L, 1);
  if (box->outlet)
    mw_outlet_set_active(box->outlet, lua_toboolean(L, 2));
  return 0;
}

/* pending() -> connections that the worker has not answered for */
static int outlet_pending(lua_State *L) {
  struct outlet_box *box = check_outlet(L, 1);
  size_t pending = box->outlet ? mw_outlet_pending(box->outlet) : 0;
  lua_pushinteger(L, (lua_Integer)pending);
  return 1;
}

/* fileno() -> fd | nil: see mw_outlet_fd(). */
static int outlet_fileno(lua_State *L) {
  struct outlet_box *box = check_outlet(L, 1);
  if (!box->outlet)
    return 0;
  lua_pushinteger(L, mw_outlet_fd(box->outlet));
  return 1;
}

static void close_outlet(void *object) {
  struct outlet_box *box = object;
  if (box->outlet)
    mw_outlet_close(box->outlet);
}

/* close(): what the worker has not taken goes to others. */
static int outlet_close(lua_State *L) {
  close_outlet(check_outlet(L, 1));
  return 0;
}

/* dispatchers */

/* Pushes the outlets that may be picked, as a list. */
static void push_candidates(lua_State *L, struct mw_dispatcher *dispatcher,
                            const struct mw_connection *connection) {
  struct mw_link *members = mw_dispatcher_members(dispatcher);
  lua_newtable(L);
  for (struct mw_link *link = members->next; link != members;
       link = link->next) {
    struct mw_member *member = MW_LINKED(link, struct mw_member, of_dispatcher);
    if (!mw_member_may(member, connection))
      continue;
    mw_live_push(L, mw_outlet_user(member->outlet));
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
}

struct choice {
  struct dispatcher_box *box;
  const struct mw_connection *connection;
  struct mw_outlet *outlet; /* NULL: nobody */
};

/* (choice): asks the program. */
static int choose(lua_State *L) {
  struct choice *choice = lua_touserdata(L, 1);
  mw_live_push_user_value(L, choice->box, PICK);
  push_candidates(L, choice->box->dispatcher, choice->connection);
  lua_pushinteger(L, choice->connection->fd);
  lua_call(L, 2, 1);
  struct outlet_box *chosen = luaL_testudata(L, -1, OUTLET_TYPE);
  choice->outlet = chosen ? chosen->outlet : NULL;
  return 0;
}

static struct mw_member *on_pick(void *user,
                                 const struct mw_connection *connection) {
  struct choice choice = {.box = user, .connection = connection};
  lua_State *L = choice.box->main;
  if (!lua_checkstack(L, 8))
    return NULL;
  lua_pushcfunction(L, choose);
  lua_pushlightuserdata(L, &choice);
  mw_call(L, 1, 0, 0);
  return choice.box->dispatcher
             ? mw_dispatcher_member(choice.box->dispatcher, choice.outlet)
             : NULL;
}

static void on_dispatcher_closed(void *user) {
  struct dispatcher_box *box = user;
  if (lua_checkstack(box->main, 8))
    mw_live_drop(box->main, box);
}

static const struct mw_dispatcher_events dispatcher_events = {
    .on_pick = on_pick,
    .on_closed = on_dispatcher_closed,
};

static const struct mw_policy *check_policy(lua_State *L, int index) {
  const struct mw_policy *policy = mw_policy_named(luaL_checkstring(L, index));
  luaL_argcheck(L, policy, index, "no such policy");
  return policy;
}

/* dispatcher(fd, key, policy[, pick]) -> dispatcher | nil, errname. The
   descriptor is its own from then on. pick(outlets, fd) -> outlet, for the
   policy "custom". */
static int new_dispatcher(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  uint32_t key = (uint32_t)luaL_checkinteger(L, 2);
  const struct mw_policy *policy = check_policy(L, 3);
  lua_settop(L, 4);
  struct dispatcher_box *box = lua_newuserdatauv(L, sizeof *box, PICK);
  *box = (struct dispatcher_box){.main = mw_calls(L)->main};
  luaL_setmetatable(L, DISPATCHER_TYPE);
  lua_pushvalue(L, 4);
  lua_setiuservalue(L, 5, PICK);
  lua_pushvalue(L, 5);
  mw_live_put(L, box);
  int error = mw_dispatcher_open(mw_loop(L), fd, key, policy,
                                 &dispatcher_events, box, &box->dispatcher);
  if (!error)
    return 1;
  mw_live_drop(L, box);
  return mw_push_failure(L, error);
}

static struct dispatcher_box *check_dispatcher(lua_State *L) {
  return luaL_checkudata(L, 1, DISPATCHER_TYPE);
}

/* add(outlet, slot) -> true | nil, errname */
static int dispatcher_add(lua_State *L) {
  struct dispatcher_box *box = check_dispatcher(L);
  struct outlet_box *other = check_outlet(L, 2);
  unsigned slot = (unsigned)luaL_checkinteger(L, 3);
  if (!box->dispatcher || !other->outlet)
    return mw_push_failure(L, UV_EBADF);
  return mw_push_result(
      L, mw_dispatcher_add(box->dispatcher, other->outlet, slot));
}

/* remove(outlet) */
static int dispatcher_remove(lua_State *L) {
  struct dispatcher_box *box = check_dispatcher(L);
  struct outlet_box *other = check_outlet(L, 2);
  if (box->dispatcher && other->outlet)
    mw_dispatcher_remove(box->dispatcher, other->outlet);
  return 0;
}

/* set_paused(boolean): whether it accepts nothing for now */
static int dispatcher_set_paused(lua_State *L) {
  struct dispatcher_box *box = check_dispatcher(L);
  if (box->dispatcher)
    mw_dispatcher_set_paused(box->dispatcher, lua_toboolean(L, 2));
  return 0;
}

/* waiting() -> connections that no worker has */
static int dispatcher_waiting(lua_State *L) {
  struct dispatcher_box *box = check_dispatcher(L);
  size_t waiting = box->dispatcher ? mw_dispatcher_waiting(box->dispatcher) : 0;
  lua_pushinteger(L, (lua_Integer)waiting);
  return 1;
}

static void close_dispatcher(void *object) {
  struct dispatcher_box *box = object;
  if (box->dispatcher)
    mw_dispatcher_close(box->dispatcher);
  box->dispatcher = NULL;
}

/* close() */
static int dispatcher_close(lua_State *L) {
  close_dispatcher(check_dispatcher(L));
  return 0;
}

void mw_dispatchers_close(lua_State *L) {
  mw_live_close_all(L, OUTLET_TYPE, close_outlet);
  mw_live_close_all(L, DISPATCHER_TYPE, close_dispatcher);
}

/* pair() -> fd for an outlet, fd for an intake | nil, errname */
static int new_pair(lua_State *L) {
  int fds[2];
  int error = mw_handoff_pair(fds);
  if (error)
    return mw_push_failure(L, error);
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* accepting(policy) -> "master", "shared" or "each": who accepts */
static int accepting(lua_State *L) {
  static const char *const names[] = {
      [MW_MASTER_ACCEPTS] = "master",
      [MW_WORKERS_SHARE] = "shared",
      [MW_WORKERS_HAVE_ONE_EACH] = "each",
  };
  lua_pushstring(L, names[check_policy(L, 1)->accepting]);
  return 1;
}

int luaopen_mw_core_dispatcher(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"pair", new_pair},
      {"outlet", new_outlet},
      {"dispatcher", new_dispatcher},
      {"accepting", accepting},
      {NULL, NULL},
  };
  static const luaL_Reg outlet_methods[] = {
      {"set_active", outlet_set_active},
      {"pending", outlet_pending},
      {"fileno", outlet_fileno},
      {"close", outlet_close},
      {NULL, NULL},
  };
  static const luaL_Reg dispatcher_methods[] = {
      {"add", dispatcher_add},
      {"remove", dispatcher_remove},
      {"set_paused", dispatcher_set_paused},
      {"waiting", dispatcher_waiting},
      {"close", dispatcher_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, OUTLET_TYPE, outlet_methods);
  mw_live_open_type(L, DISPATCHER_TYPE, dispatcher_methods);
  luaL_newlib(L, functions);
  return 1;
}
