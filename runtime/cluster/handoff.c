#include "cluster/handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/fd.h"

int mw_handoff_pair(int fds[2]) {
  int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
  return socketpair(AF_UNIX, type, 0, fds) ? uv_translate_sys_error(errno) : 0;
}

static int send_message(int fd, const struct msghdr *message) {
  ssize_t count;
  do
    count = sendmsg(fd, message, MSG_NOSIGNAL);
  while (count == -1 && errno == EINTR);
  return count == -1 ? uv_translate_sys_error(errno) : 0;
}

/* A peer that has left packets unread is told of first, once; what it has sent
   is still there. */
static int receive_message(int fd, struct msghdr *message) {
  ssize_t count;
  do
    count = recvmsg(fd, message, MSG_CMSG_CLOEXEC);
  while (count == -1 && (errno == EINTR || errno == ECONNRESET));
  return count == -1 ? uv_translate_sys_error(errno) : (int)count;
}

int mw_handoff_send(int fd, const struct mw_handoff *handoff) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof handoff->fds)] = {0};
  size_t size = handoff->count * sizeof(int);
  struct iovec vector = {(void *)handoff->records,
                         handoff->count * sizeof handoff->records[0]};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_SPACE(size)};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), handoff->fds, size);
  return send_message(fd, &message);
}

/* Those for which there was no room here have not come (unix(7)). */
static void take_fds(struct mw_handoff *handoff, struct msghdr *message) {
  size_t taken = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
      continue;
    taken = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(handoff->fds, CMSG_DATA(header), taken * sizeof(int));
  }
  for (size_t i = taken; i < MW_HANDOFF_MAX; i++)
    handoff->fds[i] = -1;
  for (size_t i = handoff->count; i < taken; i++)
    mw_fd_close(handoff->fds[i]);
}

int mw_handoff_receive(int fd, struct mw_handoff *handoff) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof handoff->fds)];
  struct iovec vector = {handoff->records, sizeof handoff->records};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  int size = receive_message(fd, &message);
  if (size < 0)
    return size;
  handoff->count = (size_t)size / sizeof handoff->records[0];
  take_fds(handoff, &message);
  return (int)handoff->count;
}

/* Ports have keys from 1 up. */
enum { BOARD_KEY = 0 };

int mw_handoff_send_board(int fd, struct mw_board **board) {
  struct mw_handoff handoff = {.count = 1, .records = {{.key = BOARD_KEY}}};
  int error = mw_board_make(board, &handoff.fds[0]);
  if (error)
    return error;
  error = mw_handoff_send(fd, &handoff);
  mw_fd_close(handoff.fds[0]);
  if (error)
    mw_board_unmap(*board);
  return error;
}

bool mw_handoff_has_board(const struct mw_handoff *handoff) {
  return handoff->count == 1 && handoff->records[0].key == BOARD_KEY;
}

int mw_handoff_take_board(const struct mw_handoff *handoff,
                          struct mw_board **board) {
  int error = UV_EPROTO;
  if (mw_handoff_has_board(handoff) && handoff->fds[0] >= 0)
    error = mw_board_map(handoff->fds[0], board);
  for (size_t i = 0; i < handoff->count; i++)
    if (handoff->fds[i] >= 0)
      mw_fd_close(handoff->fds[i]);
  return error;
}

int mw_handoff_receive_board(int fd, struct mw_board **board) {
  struct mw_handoff handoff;
  int count = mw_handoff_receive(fd, &handoff);
  if (count <= 0)
    return count < 0 ? count : UV_EPROTO;
  return mw_handoff_take_board(&handoff, board);
}

/* Where there is no room, enough of them wait already. */
void mw_handoff_wake(int fd) {
  ssize_t count;
  do
    count = send(fd, "", 1, MSG_NOSIGNAL);
  while (count == -1 && errno == EINTR);
}

int mw_handoff_receive_wake(int fd) {
  char bytes[8];
  struct iovec vector = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  int size = receive_message(fd, &message);
  return size > 0 ? 1 : size;
}
