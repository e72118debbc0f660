/*
 * The whole receiving side: a channel in a Lua state, whose peer is the input.
 * A byte of options, and then what the peer does, one step after the other: a
 * byte that says what, and the bytes to send. Whatever comes, the channel ends
 * once, is closed, and leaves no descriptor open.
 */
#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bindings/lua_call.h"
#include "bindings/lua_loop.h"
#include "bindings/modules.h"
#include "check.h"

/* In the first byte. */
enum {
  AS_JSON = 1,
  LISTENS = 2, /* messages go straight to a function */
  ECHOES = 4,
  PAUSES = 8,
  FEW_FDS = 16, /* the receiver can have only some more open */
  WHOLE = 32,   /* not the channel in C alone, but what scripts have */
  KIND = 6      /* above: of the first descriptor that is sent */
};

/* In the first byte of a step: the size of the piece, and what else. */
enum {
  PIECE_SIZE = 0x1f,
  LONG_PIECE = 0x20, /* 64 times that */
  WITH_FDS = 0x40,   /* the next byte says how many */
  TURN = 0x80        /* then the receiver has its turn */
};

enum {
  FDS_MAX = 253, /* of one sendmsg */
  FEW = 5,
  TURNS_MAX = 10000,
  LUA_MEMORY_MAX = 4 * 1024 * 1024 /* what stays between two inputs */
};

struct input {
  const uint8_t *bytes;
  size_t length;
};

static uv_loop_t loop;
static lua_State *L;
/* What can be sent: of each kind one. */
static int kinds[4];

static int open_state(lua_State *state) {
  luaL_openlibs(state);
  mw_calls_open(state, &loop, "fuzz_channel");
  mw_preload_modules(state);
  lua_getglobal(state, "package");
  lua_pushliteral(state, MW_LUA_FOLDER "/?.lua;" MW_LUA_FOLDER "/?/init.lua");
  lua_setfield(state, -2, "path");
  if (luaL_dofile(state, MW_FUZZ_FOLDER "/receiver.lua"))
    return lua_error(state);
  lua_setglobal(state, "receiver");
  return 0;
}

static void open_kinds(void) {
  int pair[2]; /* the other end stays open, so that this is not at its end */
  int error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  kinds[0] = pair[0];
  kinds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  kinds[2] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  kinds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
  fuzz_require(!error && kinds[1] >= 0 && kinds[2] >= 0 && kinds[3] >= 0,
               "there is something to send");
}

static void open_once(void) {
  if (L)
    return;
  L = luaL_newstate();
  fuzz_require(L && uv_loop_init(&loop) == 0, "there is a state and a loop");
  open_kinds();
  lua_pushcfunction(L, open_state);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK)
    fuzz_require(false, lua_tostring(L, -1));
}

static int count_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  int count = 0;
  fuzz_require(folder, "there is /proc");
  while (readdir(folder))
    count++;
  closedir(folder);
  return count;
}

static void set_flag(const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

static void open_receiver(int fd, uint8_t options) {
  lua_getglobal(L, "receiver");
  lua_getfield(L, -1, options & WHOLE ? "open_whole" : "open");
  lua_pushinteger(L, fd);
  lua_pushstring(L, options & AS_JSON ? "json" : "msgpack");
  lua_createtable(L, 0, 3);
  set_flag("listens", options & LISTENS);
  set_flag("echoes", options & ECHOES);
  set_flag("pauses", options & PAUSES);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    fuzz_require(false, lua_tostring(L, -1));
  lua_pop(L, 1);
}

static bool is_closed(void) {
  lua_getglobal(L, "receiver");
  lua_getfield(L, -1, "is_closed");
  lua_call(L, 0, 1);
  bool closed = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return closed;
}

static void turn(void) {
  mw_loop_turn(L, UV_RUN_NOWAIT);
  fuzz_require(!mw_calls(L)->dying, "no error is left to nobody");
  fuzz_require(lua_gettop(L) == 0, "the stack is balanced");
}

/* the peer */

static unsigned take_byte(struct input *input) {
  if (input->length == 0)
    return 0;
  input->length--;
  return *input->bytes++;
}

static ssize_t send_piece(int fd, const uint8_t *bytes, size_t size,
                          size_t fd_count, unsigned kind) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
  struct iovec vector = {(void *)(uintptr_t)bytes, size};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd_count > 0) {
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    for (size_t i = 0; i < fd_count; i++)
      memcpy(CMSG_DATA(header) + i * sizeof(int), &kinds[(kind + i) % 4],
             sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* One step; false where the connection is over. */
static bool step(int fd, unsigned kind, struct input *input) {
  unsigned what = take_byte(input);
  size_t size = what & PIECE_SIZE, fd_count = 0;
  if (what & LONG_PIECE)
    size *= 64;
  if (what & WITH_FDS)
    fd_count = take_byte(input) % (FDS_MAX + 1);
  if (size > input->length)
    size = input->length;
  while (size > 0) {
    ssize_t sent = send_piece(fd, input->bytes, size, fd_count, kind);
    if (sent == -1 && is_closed())
      return false;
    if (sent == -1) {
      turn();
      continue;
    }
    input->bytes += sent;
    input->length -= (size_t)sent;
    size -= (size_t)sent;
    fd_count = 0;
  }
  if (what & TURN)
    turn();
  return true;
}

/* Lets the process have only some more descriptors; returns what it was. */
static struct rlimit limit_descriptors(void) {
  struct rlimit before, limit;
  int next = fcntl(kinds[3], F_DUPFD_CLOEXEC, 0);
  int error = getrlimit(RLIMIT_NOFILE, &before);
  fuzz_require(next >= 0 && !error, "there is a limit");
  close(next);
  limit = before;
  limit.rlim_cur = (rlim_t)next + FEW;
  setrlimit(RLIMIT_NOFILE, &limit);
  return before;
}

static void run_peer(int fd, uint8_t options, struct input *input) {
  struct rlimit limit;
  if (options & FEW_FDS)
    limit = limit_descriptors();
  while (input->length > 0 && step(fd, options >> KIND, input))
    ;
  close(fd);
  for (int i = 0; i < TURNS_MAX && !is_closed(); i++)
    turn();
  if (options & FEW_FDS)
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void check_memory(void) {
  size_t kilobytes = (size_t)lua_gc(L, LUA_GCCOUNT);
  fuzz_require(kilobytes < LUA_MEMORY_MAX / 1024, "Lua keeps nothing");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int fds[2];
  open_once();
  int before = count_descriptors();
  uint8_t options = (uint8_t)take_byte(&input);
  fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          0, fds) == 0,
               "there is a pair");
  open_receiver(fds[0], options);
  run_peer(fds[1], options, &input);
  fuzz_require(is_closed(), "the channel has closed");
  lua_gc(L, LUA_GCCOLLECT);
  for (int i = 0; i < TURNS_MAX && count_descriptors() != before; i++)
    turn(); /* the objects that were made of descriptors close by and by */
  fuzz_require(count_descriptors() == before, "no descriptor is left");
  check_memory();
  return 0;
}
