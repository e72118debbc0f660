#include "bindings/json_number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More significant digits than these cannot tell a double from its
   neighbour, except that they are not all zero. */
#define DIGITS_MAX 770
#define MANTISSA_MAX (UINT64_C(1) << DBL_MANT_DIG)
#define EXPONENT_MAX INT64_C(1000000000000000)

/* All the powers of ten that a double holds exactly. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { POWER_MAX = 22 };

/* Digits that decide how a double is rounded to its 17 first. */
enum { EXACT_DIGITS = 30 };

/* d.ddd times ten to the exponent */
struct decimal {
  char digits[EXACT_DIGITS];
  int count;
  int exponent;
};

static bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

static size_t write_digits(uint64_t value, char *out) {
  char text[20];
  char *at = text + sizeof(text);
  do {
    *--at = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  size_t length = (size_t)(text + sizeof(text) - at);
  memcpy(out, at, length);
  return length;
}

size_t mw_json_integer_write(int64_t value, char *out) {
  if (value >= 0)
    return write_digits((uint64_t)value, out);
  *out = '-';
  return 1 + write_digits(0 - (uint64_t)value, out + 1);
}

/* One operation on two exact operands is rounded once, hence correctly. */
static bool scale_exactly(uint64_t mantissa, int64_t exponent, double *out) {
  if (mantissa == 0) {
    *out = 0;
    return true;
  }
  if (FLT_EVAL_METHOD != 0 || mantissa > MANTISSA_MAX ||
      exponent < -POWER_MAX || exponent > POWER_MAX)
    return false;
  if (exponent < 0)
    *out = (double)mantissa / powers[-exponent];
  else
    *out = (double)mantissa * powers[exponent];
  return true;
}

/* `text` holds `count` digits and has room behind them. It gets no decimal
   point, which is the only thing that strtod takes from the locale. */
static double scale_digits(char *text, size_t count, int64_t exponent) {
  if (exponent > 99999)
    exponent = 99999;
  if (exponent < -99999)
    exponent = -99999;
  text[count++] = 'e';
  count += mw_json_integer_write(exponent, text + count);
  text[count] = '\0';
  return strtod(text, NULL);
}

static double decimal_value(const struct decimal *decimal) {
  char text[64];
  size_t count = (size_t)decimal->count;
  int64_t exponent = (int64_t)decimal->exponent - decimal->count + 1;
  uint64_t mantissa = 0;
  double value;
  for (size_t i = 0; i < count; i++)
    mantissa = mantissa * 10 + (uint64_t)(decimal->digits[i] - '0');
  if (scale_exactly(mantissa, exponent, &value))
    return value;
  memcpy(text, decimal->digits, count);
  return scale_digits(text, count, exponent);
}

/* Finds the floats that people write: up to 15 digits, a small exponent.
   Below 1e15 only one decimal of each length can name a given double. */
static bool find_common(double value, struct decimal *out) {
  for (int places = 0; places <= POWER_MAX; places++) {
    double scaled = value * powers[places];
    double back;
    if (scaled >= 1e15)
      return false;
    uint64_t mantissa = (uint64_t)(scaled + 0.5);
    if (scale_exactly(mantissa, -places, &back) && back == value) {
      out->count = (int)write_digits(mantissa, out->digits);
      out->exponent = out->count - 1 - places;
      return true;
    }
  }
  return false;
}

static void read_exact_digits(double value, struct decimal *out) {
  char text[64];
  snprintf(text, sizeof(text), "%.*e", EXACT_DIGITS - 1, value);
  const char *at = text;
  out->count = 0;
  for (; *at != 'e'; at++)
    if (is_digit(*at)) /* the point may be of any length in this locale */
      out->digits[out->count++] = *at;
  out->exponent = (int)strtol(at + 1, NULL, 10);
}

/* Whether the upper neighbour of `count` digits is nearer, or as near and
   even. */
static bool rounds_up(const struct decimal *exact, int count) {
  if (exact->digits[count] != '5')
    return exact->digits[count] > '5';
  for (int i = count + 1; i < EXACT_DIGITS; i++)
    if (exact->digits[i] != '0')
      return true;
  return (exact->digits[count - 1] - '0') % 2 == 1;
}

static void shorten(const struct decimal *exact, int count, bool up,
                    struct decimal *out) {
  memcpy(out->digits, exact->digits, (size_t)count);
  out->exponent = exact->exponent;
  if (up) {
    while (count > 0 && out->digits[count - 1] == '9')
      count--;
    if (count > 0) {
      out->digits[count - 1]++;
    } else {
      out->digits[count++] = '1';
      out->exponent++;
    }
  }
  while (count > 1 && out->digits[count - 1] == '0')
    count--;
  out->count = count;
}

/* A power of two is nearer to the float below it than to the one above, so
   the decimal on the far side may name it where the nearer one does not. */
static void find_shortest(double value, struct decimal *out) {
  struct decimal exact;
  int binary_exponent;
  bool is_power = frexp(value, &binary_exponent) == 0.5;
  read_exact_digits(value, &exact);
  for (int count = value < DBL_MIN ? 1 : DBL_DIG; count < 17; count++) {
    bool up = rounds_up(&exact, count);
    shorten(&exact, count, up, out);
    if (decimal_value(out) == value)
      return;
    if (is_power) {
      shorten(&exact, count, !up, out);
      if (decimal_value(out) == value)
        return;
    }
  }
  shorten(&exact, 17, rounds_up(&exact, 17), out);
}

static char *put_bytes(char *to, const char *bytes, int count) {
  memcpy(to, bytes, (size_t)count);
  return to + count;
}

static char *put_zeros(char *to, int count) {
  memset(to, '0', (size_t)count);
  return to + count;
}

static char *put_exponential(char *to, const struct decimal *decimal) {
  *to++ = decimal->digits[0];
  if (decimal->count > 1) {
    *to++ = '.';
    to = put_bytes(to, decimal->digits + 1, decimal->count - 1);
  }
  *to++ = 'e';
  if (decimal->exponent > 0)
    *to++ = '+';
  return to + mw_json_integer_write(decimal->exponent, to);
}

/* As JavaScript writes it, but never without a point or an exponent. */
static char *put_decimal(char *to, const struct decimal *decimal) {
  int whole = decimal->exponent + 1;
  if (whole < -5 || whole > 21)
    return put_exponential(to, decimal);
  if (whole <= 0) {
    to = put_bytes(to, "0.", 2);
    to = put_zeros(to, -whole);
    return put_bytes(to, decimal->digits, decimal->count);
  }
  if (whole < decimal->count) {
    to = put_bytes(to, decimal->digits, whole);
    *to++ = '.';
    return put_bytes(to, decimal->digits + whole, decimal->count - whole);
  }
  to = put_bytes(to, decimal->digits, decimal->count);
  to = put_zeros(to, whole - decimal->count);
  return put_bytes(to, ".0", 2);
}

size_t mw_json_float_write(double value, char *out) {
  struct decimal decimal;
  char *to = out;
  if (signbit(value)) {
    *to++ = '-';
    value = -value;
  }
  if (!find_common(value, &decimal))
    find_shortest(value, &decimal);
  return (size_t)(put_decimal(to, &decimal) - out);
}

/* A number's parts as they are scanned. */
struct numeral {
  const char *digits; /* the digits, with a point perhaps, up to `stop` */
  const char *stop;
  uint64_t mantissa; /* the digits' value, unless `is_long` */
  int64_t exponent;  /* of ten, for the digits without their point */
  bool is_long;
  bool is_float;
};

static const char *scan_digits(struct numeral *numeral, const char *at,
                               const char *end) {
  for (; at < end && is_digit(*at); at++) {
    if (numeral->mantissa > (UINT64_MAX - 9) / 10)
      numeral->is_long = true;
    if (!numeral->is_long)
      numeral->mantissa = numeral->mantissa * 10 + (uint64_t)(*at - '0');
  }
  return at;
}

static bool scan_fraction(struct numeral *numeral, const char **at,
                          const char *end) {
  const char *first = *at + 1;
  *at = scan_digits(numeral, first, end);
  numeral->exponent = first - *at;
  numeral->is_float = true;
  return *at != first;
}

static bool scan_exponent(struct numeral *numeral, const char **at,
                          const char *end) {
  const char *p = *at + 1;
  bool is_negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+'))
    p++;
  const char *first = p;
  int64_t exponent = 0;
  for (; p < end && is_digit(*p); p++)
    if (exponent < EXPONENT_MAX)
      exponent = exponent * 10 + (*p - '0');
  numeral->exponent += is_negative ? -exponent : exponent;
  numeral->is_float = true;
  *at = p;
  return p != first;
}

static bool scan_number(struct numeral *numeral, const char **at,
                        const char *end) {
  const char *p = *at;
  if (p == end || !is_digit(*p))
    return false;
  numeral->digits = p;
  *at = *p == '0' ? p + 1 : scan_digits(numeral, p, end);
  if (*at < end && **at == '.' && !scan_fraction(numeral, at, end))
    return false;
  numeral->stop = *at;
  if (*at < end && (**at == 'e' || **at == 'E'))
    return scan_exponent(numeral, at, end);
  return true;
}

/* The whole of a long number cannot be copied; its first digits and a 1 for
   all that follow lie on the same side of every double. */
static double numeral_value(const struct numeral *numeral) {
  char text[DIGITS_MAX + MW_JSON_NUMBER_SIZE];
  size_t count = 0;
  int64_t exponent = numeral->exponent;
  bool has_more = false;
  double value;
  if (!numeral->is_long && scale_exactly(numeral->mantissa, exponent, &value))
    return value;
  for (const char *at = numeral->digits; at < numeral->stop; at++) {
    if (*at == '.' || (*at == '0' && count == 0))
      continue;
    if (count < DIGITS_MAX) {
      text[count++] = *at;
    } else {
      has_more = has_more || *at != '0';
      exponent++;
    }
  }
  if (has_more) {
    text[count++] = '1';
    exponent--;
  }
  return scale_digits(text, count, exponent);
}

bool mw_json_number_read(const char **at, const char *end,
                         struct mw_json_number *number) {
  struct numeral numeral = {.digits = NULL};
  bool is_negative = *at < end && **at == '-';
  *at += is_negative;
  if (!scan_number(&numeral, at, end))
    return false;
  uint64_t limit = (uint64_t)INT64_MAX + is_negative;
  bool is_zero = numeral.mantissa == 0;
  number->is_integer = !numeral.is_float && !numeral.is_long &&
                       numeral.mantissa <= limit && !(is_negative && is_zero);
  if (number->is_integer) {
    uint64_t bits = is_negative ? 0 - numeral.mantissa : numeral.mantissa;
    memcpy(&number->integer, &bits, sizeof(bits));
  } else {
    double value = numeral_value(&numeral);
    number->real = is_negative ? -value : value;
  }
  return true;
}
