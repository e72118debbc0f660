/*
 * Numbers as JSON text and back, the same under every locale. Integers are
 * exact over 64 bits; floats are written with the fewest digits that come
 * back as the same float. No state, no Lua; any thread.
 */
#ifndef MW_BINDINGS_JSON_NUMBER_H
#define MW_BINDINGS_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The room that one written number needs at most. */
#define MW_JSON_NUMBER_SIZE 32

struct mw_json_number {
  bool is_integer;
  int64_t integer;
  double real;
};

/** Writes `value` to `out`, without a final NUL; returns the length. */
size_t mw_json_integer_write(int64_t value, char *out);

/**
 * The same for a finite float. The text has a point or an exponent, so that
 * it is read as a float again.
 */
size_t mw_json_float_write(double value, char *out);

/**
 * Reads the number at `*at` and moves `*at` behind it. An integer without
 * place in 64 bits becomes a float, and so does -0. False where a digit is
 * missing: `*at` is then where it should be.
 */
bool mw_json_number_read(const char **at, const char *end,
                         struct mw_json_number *number);

#endif
