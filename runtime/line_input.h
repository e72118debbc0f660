/*
 * One line of standard input after the other, for the REPL. While no line is
 * there, `idle` is called whenever the loop has something to do. Uses stdio
 * unbuffered, so that `io.read` in a command gets what follows the command.
 */
#ifndef MW_LINE_INPUT_H
#define MW_LINE_INPUT_H

#include <stdbool.h>
#include <uv.h>

struct mw_line_input {
  uv_loop_t *loop;
  void (*idle)(void *user); /* turns the loop once without waiting */
  void *user;
};

/** Prepares standard input, for line editing where the system has a library. */
void mw_line_input_open(void);

/**
 * Shows the prompt and waits for a line, without its newline. The caller frees
 * it. Returns NULL at the end of input, or without memory.
 */
char *mw_line_input_read(const struct mw_line_input *input, const char *prompt);

/** Remembers a line in the history, where there is one. */
void mw_line_input_remember(const char *line);

#endif
