#include "line_input.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The part of the readline interface that libedit has too; it may lack the
   last three. Looked up at run time: without either there is still a REPL. */
static struct {
  void (*install)(const char *prompt, void (*handler)(char *));
  void (*read_char)(void);
  void (*remove)(void);
  int (*add_history)(const char *line);
  void (*check_signals)(void);
  int (*catch_signals)(void);
  int (*release_signals)(void);
} editor;

static bool editor_found;
static bool editor_waits; /* for a line, with the terminal set up for that */
static char *edited_line;

static void leave_editor(void) {
  if (editor_waits)
    editor.remove();
  editor_waits = false;
}

static void take_edited_line(char *line) {
  edited_line = line;
  leave_editor();
}

static bool find(void *library, const char *name, void *target) {
  void *found = dlsym(library, name);
  memcpy(target, &found, sizeof found);
  return found != NULL;
}

static bool find_editor(const char *library_name) {
  void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
  const char **name;
  if (!library ||
      !find(library, "rl_callback_handler_install", &editor.install) ||
      !find(library, "rl_callback_read_char", &editor.read_char) ||
      !find(library, "rl_callback_handler_remove", &editor.remove) ||
      !find(library, "add_history", &editor.add_history))
    return false;
  find(library, "rl_check_signals", &editor.check_signals);
  find(library, "rl_set_signals", &editor.catch_signals);
  find(library, "rl_clear_signals", &editor.release_signals);
  if (find(library, "rl_readline_name", &name))
    *name = "lua"; /* for the user's ~/.inputrc, as in `lua` */
  return true;
}

void mw_line_input_open(void) {
  setvbuf(stdin, NULL, _IONBF, 0);
  /* `lua` uses readline for pipes and files too, where it echoes the lines. */
  editor_found = find_editor("libreadline.so.8") ||
                 (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
                  find_editor("libedit.so.2"));
  if (editor_found)
    atexit(leave_editor);
}

/* The editor's signal handlers hold only while nothing else runs. */
static void turn_loop(const struct mw_line_input *input) {
  bool shared = editor_waits && editor.catch_signals && editor.release_signals;
  if (shared)
    editor.release_signals();
  input->idle(input->user);
  if (shared)
    editor.catch_signals();
}

/* poll(2), after which the editor knows of every signal there was. */
static int poll_with_signals(struct pollfd *fds, nfds_t count, int timeout) {
  struct timespec time = {timeout / 1000, timeout % 1000 * 1000000L};
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (editor_waits && editor.check_signals)
    editor.check_signals();
  int ready = ppoll(fds, count, timeout < 0 ? NULL : &time, &before);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (editor_waits && editor.check_signals)
    editor.check_signals();
  errno = error;
  return ready;
}

/* Turns the loop until standard input has something to read. */
static void wait_for_input(const struct mw_line_input *input) {
  struct pollfd fds[2] = {
      {.fd = STDIN_FILENO, .events = POLLIN},
      {.fd = uv_backend_fd(input->loop), .events = POLLIN},
  };
  int ready;
  do {
    turn_loop(input);
    bool alive = uv_loop_alive(input->loop);
    int timeout = alive ? uv_backend_timeout(input->loop) : -1;
    ready = poll_with_signals(fds, 2, timeout);
    uv_update_time(input->loop); /* for timers that the line will start */
    if (ready < 0 && errno != EINTR)
      return;
  } while (ready <= 0 || !fds[0].revents);
}

static char *read_edited(const struct mw_line_input *input,
                         const char *prompt) {
  editor_waits = true;
  editor.install(prompt, take_edited_line);
  while (editor_waits) {
    wait_for_input(input);
    editor.read_char();
  }
  return edited_line;
}

static char *read_plain(const struct mw_line_input *input, const char *prompt) {
  char *line = NULL;
  size_t length = 0;
  FILE *text = open_memstream(&line, &length);
  if (!text)
    return NULL;
  fputs(prompt, stdout);
  fflush(stdout);
  int c;
  do {
    wait_for_input(input);
    c = getc(stdin);
    if (c != '\n' && c != EOF)
      putc(c, text);
  } while (c != '\n' && c != EOF);
  bool whole = fclose(text) == 0 && (c != EOF || length > 0);
  if (whole)
    return line;
  free(line);
  return NULL;
}

char *mw_line_input_read(const struct mw_line_input *input,
                         const char *prompt) {
  input->idle(input->user); /* what the last line asked for comes first */
  return editor_found ? read_edited(input, prompt) : read_plain(input, prompt);
}

void mw_line_input_remember(const char *line) {
  if (editor_found && *line)
    editor.add_history(line);
}
