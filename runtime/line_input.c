#include "line_input.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The part of the readline interface that libedit has too. It is looked up
   at run time: a host without either still has the REPL. */
static struct {
  bool found;
  void (*install)(const char *prompt, void (*handler)(char *));
  void (*read_char)(void);
  void (*remove)(void);
  int (*add_history)(const char *line);
} editor;

static char *edited_line;
static bool edited;

static void take_edited_line(char *line) {
  edited_line = line;
  edited = true;
  editor.remove();
}

static bool find_function(void *library, const char *name, void *target) {
  void *function = dlsym(library, name);
  memcpy(target, &function, sizeof function);
  return function != NULL;
}

static void find_editor(void) {
  static const char *const names[] = {"libreadline.so.8", "libedit.so.2"};
  for (size_t i = 0; i < sizeof names / sizeof *names && !editor.found; i++) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    editor.found =
        library &&
        find_function(library, "rl_callback_handler_install",
                      &editor.install) &&
        find_function(library, "rl_callback_read_char", &editor.read_char) &&
        find_function(library, "rl_callback_handler_remove", &editor.remove) &&
        find_function(library, "add_history", &editor.add_history);
  }
}

void mw_line_input_open(const struct mw_line_input *input) {
  (void)input;
  setvbuf(stdin, NULL, _IONBF, 0);
  if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
    find_editor();
}

/* Turns the loop until standard input has something to read. */
static void wait_for_input(const struct mw_line_input *input) {
  struct pollfd fds[2] = {
      {.fd = STDIN_FILENO, .events = POLLIN},
      {.fd = uv_backend_fd(input->loop), .events = POLLIN},
  };
  do {
    input->idle(input->user);
    bool alive = uv_loop_alive(input->loop);
    int timeout = alive ? uv_backend_timeout(input->loop) : -1;
    if (poll(fds, 2, timeout) < 0 && errno != EINTR)
      return;
  } while (!fds[0].revents);
}

static char *read_edited(const struct mw_line_input *input,
                         const char *prompt) {
  edited = false;
  editor.install(prompt, take_edited_line);
  while (!edited) {
    wait_for_input(input);
    editor.read_char();
  }
  return edited_line;
}

static char *read_plain(const struct mw_line_input *input, const char *prompt) {
  fputs(prompt, stdout);
  fflush(stdout);
  wait_for_input(input);
  char *line = NULL;
  size_t size = 0;
  ssize_t length = getline(&line, &size, stdin);
  if (length < 0) {
    free(line);
    return NULL;
  }
  if (length > 0 && line[length - 1] == '\n')
    line[length - 1] = '\0';
  return line;
}

char *mw_line_input_read(const struct mw_line_input *input,
                         const char *prompt) {
  return editor.found ? read_edited(input, prompt) : read_plain(input, prompt);
}

void mw_line_input_remember(const char *line) {
  if (editor.found && *line)
    editor.add_history(line);
}
