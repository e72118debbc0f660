#include "process/spawn_sync.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/fd.h"

#define READ_SIZE ((size_t)64 * 1024) /* what a pipe holds */
#define LONGEST_NAP_MS 16

/* A run: what mw_sync_run needs besides the request. */
struct sync_run {
  struct mw_sync_request *request;
  struct mw_spawn_fd *fds; /* the child's, with its ends of the pipes */
  size_t fd_count;
  struct pollfd *polls; /* one for each stream, one for the pidfd */
  int64_t deadline;
  int pidfd;  /* -1: the kernel has none, look every now and then */
  int nap_ms; /* then: how long until the next look */
  bool exited;
  bool killed;
};

/* pipes */

static void close_fd(int *fd) {
  if (*fd >= 0)
    mw_fd_close(*fd);
  *fd = -1;
}

static void close_streams(struct mw_sync_request *request) {
  for (size_t i = 0; i < request->stream_count; i++)
    close_fd(&request->streams[i].fd);
}

static void close_child_ends(struct sync_run *run) {
  for (size_t i = 0; i < run->request->stream_count; i++) {
    if (run->request->streams[i].kind != MW_SYNC_GIVEN)
      close_fd(&run->fds[i].fd);
  }
}

static int open_stream(struct mw_sync_stream *stream, int *child_end) {
  int ends[2];
  int rc = mw_fd_pipe(ends);
  bool input = stream->kind == MW_SYNC_INPUT;
  if (rc != 0)
    return rc;
  stream->fd = input ? ends[1] : ends[0];
  *child_end = input ? ends[0] : ends[1];
  return mw_fd_set_nonblocking(stream->fd, true);
}

static int open_streams(struct sync_run *run) {
  struct mw_sync_request *request = run->request;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < request->stream_count; i++) {
    if (request->streams[i].kind != MW_SYNC_GIVEN)
      rc = open_stream(&request->streams[i], &run->fds[i].fd);
  }
  return rc;
}

static int start(struct sync_run *run) {
  struct mw_sync_request *request = run->request;
  struct mw_spawn_options options = *request->options;
  int rc;

  request->stage = MW_STAGE_PIPE;
  rc = open_streams(run);
  if (rc == 0) {
    options.fds = run->fds;
    options.fd_count = run->fd_count;
    rc = mw_spawn(&options, &request->stage, NULL);
  }
  close_child_ends(run);
  return rc;
}

/* killing and waiting */

static void kill_child(struct sync_run *run, int error, int signum) {
  if (run->killed)
    return;
  run->killed = true;
  run->request->error = error;
  if (!run->exited)
    kill(run->request->pid, signum);
  close_streams(run->request);
}

static void look_for_end(struct sync_run *run) {
  struct mw_sync_request *request = run->request;
  int wait_status;
  pid_t pid = waitpid(request->pid, &wait_status, WNOHANG);
  if (pid == 0 || (pid == -1 && errno == EINTR))
    return;
  run->exited = true;
  if (pid == -1) { /* SIGCHLD is ignored, or somebody else was faster */
    if (request->error == 0)
      request->error = -errno;
  } else if (WIFSIGNALED(wait_status)) {
    request->signum = WTERMSIG(wait_status);
  } else {
    request->status = WEXITSTATUS(wait_status);
  }
}

/* data */

static void feed(struct mw_sync_stream *stream) {
  size_t left = stream->input_len - stream->sent;
  ssize_t n =
      left > 0 ? write(stream->fd, stream->input + stream->sent, left) : 0;
  if (n == -1 && (errno == EINTR || errno == EAGAIN))
    return;
  if (n > 0)
    stream->sent += (size_t)n;
  if (n == -1 || stream->sent == stream->input_len)
    close_fd(&stream->fd); /* EPIPE too: the child wants no more */
}

static bool make_room(struct mw_sync_stream *stream) {
  size_t room = stream->room == 0 ? READ_SIZE : stream->room;
  char *output;
  if (stream->room - stream->output_len >= READ_SIZE)
    return true;
  while (room - stream->output_len < READ_SIZE) {
    if (room > SIZE_MAX / 2)
      return false;
    room *= 2;
  }
  output = realloc(stream->output, room);
  if (output == NULL)
    return false;
  stream->output = output;
  stream->room = room;
  return true;
}

static void capture(struct sync_run *run, struct mw_sync_stream *stream) {
  struct mw_sync_request *request = run->request;
  ssize_t n;
  if (!make_room(stream)) {
    kill_child(run, -ENOMEM, SIGKILL);
    return;
  }
  n = read(stream->fd, stream->output + stream->output_len, READ_SIZE);
  if (n == -1 && (errno == EINTR || errno == EAGAIN))
    return;
  if (n <= 0) {
    close_fd(&stream->fd);
    return;
  }
  stream->output_len += (size_t)n;
  if (stream->output_len > request->max_buffer) {
    stream->output_len = request->max_buffer;
    kill_child(run, -ENOBUFS, request->kill_signal);
  }
}

/* the loop */

static void fill_polls(struct sync_run *run) {
  struct mw_sync_request *request = run->request;
  size_t count = request->stream_count;
  for (size_t i = 0; i < count; i++) {
    bool input = request->streams[i].kind == MW_SYNC_INPUT;
    run->polls[i].fd = request->streams[i].fd;
    run->polls[i].events = input ? POLLOUT : POLLIN;
    run->polls[i].revents = 0;
  }
  run->polls[count].fd = run->exited ? -1 : run->pidfd;
  run->polls[count].events = POLLIN;
  run->polls[count].revents = 0;
}

static int poll_timeout(struct sync_run *run) {
  int64_t deadline = run->killed ? MW_DEADLINE_NEVER : run->deadline;
  int timeout = mw_deadline_poll_ms(deadline);
  if (run->exited || run->pidfd >= 0)
    return timeout;
  if (timeout == -1 || timeout > run->nap_ms)
    timeout = run->nap_ms;
  if (run->nap_ms < LONGEST_NAP_MS)
    run->nap_ms *= 2;
  return timeout;
}

static bool finished(const struct sync_run *run) {
  const struct mw_sync_request *request = run->request;
  if (!run->exited || run->killed)
    return run->exited;
  for (size_t i = 0; i < request->stream_count; i++) {
    const struct mw_sync_stream *stream = &request->streams[i];
    if (stream->kind == MW_SYNC_CAPTURE && stream->fd >= 0)
      return false;
  }
  return true;
}

static void serve_streams(struct sync_run *run) {
  struct mw_sync_request *request = run->request;
  for (size_t i = 0; i < request->stream_count; i++) {
    struct mw_sync_stream *stream = &request->streams[i];
    if (stream->fd < 0 || run->polls[i].revents == 0)
      continue;
    if (stream->kind == MW_SYNC_INPUT)
      feed(stream);
    else
      capture(run, stream);
  }
}

static void run_to_end(struct sync_run *run) {
  struct mw_sync_request *request = run->request;
  while (!finished(run)) {
    int ready;
    fill_polls(run);
    ready = poll(run->polls, (nfds_t)(request->stream_count + 1),
                 poll_timeout(run));
    if (ready == -1 && errno != EINTR)
      kill_child(run, -errno, SIGKILL);
    if (ready > 0)
      serve_streams(run);
    if (!run->exited &&
        (run->pidfd < 0 || run->polls[request->stream_count].revents != 0))
      look_for_end(run);
    if (!finished(run) && mw_deadline_poll_ms(run->deadline) == 0)
      kill_child(run, -ETIMEDOUT, request->kill_signal);
  }
}

static int open_pidfd(pid_t pid) {
#ifdef SYS_pidfd_open
  return (int)syscall(SYS_pidfd_open, pid, 0);
#else
  (void)pid;
  return -1;
#endif
}

static int init_run(struct sync_run *run, struct mw_sync_request *request) {
  const struct mw_spawn_options *options = request->options;
  size_t streams = request->stream_count;
  size_t count = options->fd_count < streams ? streams : options->fd_count;

  *run = (struct sync_run){.request = request, .fd_count = count};
  run->nap_ms = 1;
  run->pidfd = -1;
  run->deadline =
      mw_deadline_after(request->timeout_ms > 0 ? request->timeout_ms : -1);
  run->fds = calloc(count + 1, sizeof *run->fds);
  run->polls = calloc(streams + 1, sizeof *run->polls);
  if (run->fds == NULL || run->polls == NULL)
    return -ENOMEM;
  for (size_t i = 0; i < count; i++) {
    bool given = i < options->fd_count;
    run->fds[i].fd = given ? options->fds[i].fd : MW_FD_IGNORE;
    run->fds[i].blocking = given && options->fds[i].blocking;
    if (i < streams && request->streams[i].kind != MW_SYNC_GIVEN)
      run->fds[i].fd = -1;
  }
  return 0;
}

static void init_results(struct mw_sync_request *request) {
  request->pid = 0;
  request->status = -1;
  request->signum = 0;
  request->error = 0;
  request->stage = MW_STAGE_MEMORY;
  for (size_t i = 0; i < request->stream_count; i++) {
    struct mw_sync_stream *stream = &request->streams[i];
    stream->output = NULL;
    stream->output_len = stream->room = stream->sent = 0;
    stream->fd = -1;
  }
}

void mw_sync_run(struct mw_sync_request *request) {
  struct sync_run run;
  int rc;

  init_results(request);
  rc = init_run(&run, request);
  if (rc == 0)
    rc = start(&run);
  if (rc > 0) {
    request->pid = rc;
    run.pidfd = open_pidfd(rc);
    run_to_end(&run);
    close_fd(&run.pidfd);
  } else {
    request->error = rc;
  }
  close_streams(request);
  free(run.fds);
  free(run.polls);
}

void mw_sync_free(struct mw_sync_request *request) {
  for (size_t i = 0; i < request->stream_count; i++) {
    free(request->streams[i].output);
    request->streams[i].output = NULL;
    request->streams[i].output_len = 0;
  }
}
