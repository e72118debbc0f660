#include "cluster/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/fd.h"

/* More verdicts than connections that a worker can have to answer for. */
enum { VERDICTS = 2048, SIZE = 4096 };

struct mw_board {
  _Atomic uint64_t said;
  _Atomic uint32_t open;
  _Atomic uint32_t rooms;
  _Atomic uint32_t called; /* the master wants to be woken */
  _Atomic uint8_t verdicts[VERDICTS];
};

_Static_assert(sizeof(struct mw_board) <= SIZE, "a board fits its page");

static int map(int fd, struct mw_board **board) {
  void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED)
    return uv_translate_sys_error(errno);
  *board = memory;
  return 0;
}

/* Nobody can shrink it under the other. */
static int make_file(int *result) {
  int fd = memfd_create("mwrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd == -1)
    return uv_translate_sys_error(errno);
  if (ftruncate(fd, SIZE) == -1 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1) {
    int error = uv_translate_sys_error(errno);
    mw_fd_close(fd);
    return error;
  }
  *result = fd;
  return 0;
}

int mw_board_make(struct mw_board **board, int *fd) {
  int error = make_file(fd);
  if (error)
    return error;
  error = map(*fd, board);
  if (error)
    mw_fd_close(*fd);
  return error;
}

int mw_board_map(int fd, struct mw_board **board) {
  struct stat status;
  if (fstat(fd, &status) == -1)
    return uv_translate_sys_error(errno);
  return status.st_size == SIZE ? map(fd, board) : UV_EPROTO;
}

void mw_board_unmap(struct mw_board *board) {
  munmap(board, SIZE);
}

void mw_board_say(struct mw_board *board, const uint8_t *verdicts,
                  size_t count) {
  uint64_t said = atomic_load_explicit(&board->said, memory_order_relaxed);
  for (size_t i = 0; i < count; i++)
    atomic_store_explicit(&board->verdicts[(said + i) % VERDICTS], verdicts[i],
                          memory_order_relaxed);
  atomic_store(&board->said, said + count);
}

void mw_board_set_open(struct mw_board *board, uint32_t open) {
  atomic_store(&board->open, open);
}

void mw_board_say_room(struct mw_board *board) {
  atomic_fetch_add(&board->rooms, 1);
}

bool mw_board_take_call(struct mw_board *board) {
  return atomic_load(&board->called) && atomic_exchange(&board->called, 0);
}

uint64_t mw_board_said(const struct mw_board *board) {
  return atomic_load(&board->said);
}

bool mw_board_verdict(const struct mw_board *board, uint64_t number) {
  return atomic_load_explicit(&board->verdicts[number % VERDICTS],
                              memory_order_relaxed);
}

uint32_t mw_board_open(const struct mw_board *board) {
  return atomic_load(&board->open);
}

uint32_t mw_board_rooms(const struct mw_board *board) {
  return atomic_load(&board->rooms);
}

void mw_board_call(struct mw_board *board) {
  atomic_store(&board->called, 1);
}
