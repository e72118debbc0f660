/*
 * What the two halves of the JSON codec know about the bytes inside a string.
 * No state, no Lua; any thread.
 */
#ifndef MW_BINDINGS_JSON_TEXT_H
#define MW_BINDINGS_JSON_TEXT_H

#include <stddef.h>

/**
 * The length of what a JSON string may hold as it is, at the start of `text`.
 * The run ends before a quote, a backslash, a control character, and before
 * the first byte that is not part of valid UTF-8 (then that byte is >= 0x80).
 */
size_t mw_json_text_run(const char *text, size_t length);

#endif
