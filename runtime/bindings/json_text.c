#include "bindings/json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

static bool is_plain(unsigned char byte) {
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static uint64_t has_zero(uint64_t word) {
  return (word - EVERY_BYTE(0x01)) & ~word & EVERY_BYTE(0x80);
}

/* Eight bytes at once. A borrow may mark a good byte, but only behind a bad
   one, so the answer for the whole word is exact. */
static bool is_plain_word(const char *text) {
  uint64_t word;
  memcpy(&word, text, sizeof(word));
  uint64_t bad = word & EVERY_BYTE(0x80);
  bad |= (word - EVERY_BYTE(0x20)) & ~word & EVERY_BYTE(0x80);
  bad |= has_zero(word ^ EVERY_BYTE('"'));
  bad |= has_zero(word ^ EVERY_BYTE('\\'));
  return bad == 0;
}

static size_t plain_run(const char *text, size_t length) {
  size_t at = 0;
  while (length - at >= sizeof(uint64_t) && is_plain_word(text + at))
    at += sizeof(uint64_t);
  while (at < length && is_plain((unsigned char)text[at]))
    at++;
  return at;
}

static size_t sequence_length(unsigned char lead) {
  if (lead < 0xC2)
    return 0; /* a stray continuation, or an overlong form */
  if (lead < 0xE0)
    return 2;
  if (lead < 0xF0)
    return 3;
  return lead < 0xF5 ? 4 : 0;
}

/* The length of the character at `text`, 0 where it is not valid UTF-8. */
static size_t character_length(const char *text, size_t length) {
  const unsigned char *byte = (const unsigned char *)text;
  size_t count = sequence_length(byte[0]);
  if (count == 0 || count > length)
    return 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  switch (byte[0]) {
  case 0xE0: low = 0xA0; break;  /* overlong */
  case 0xED: high = 0x9F; break; /* surrogates */
  case 0xF0: low = 0x90; break;  /* overlong */
  case 0xF4: high = 0x8F; break; /* above U+10FFFF */
  default: break;
  }
  if (byte[1] < low || byte[1] > high)
    return 0;
  for (size_t i = 2; i < count; i++)
    if ((byte[i] & 0xC0) != 0x80)
      return 0;
  return count;
}

size_t mw_json_text_run(const char *text, size_t length) {
  size_t at = 0;
  for (;;) {
    at += plain_run(text + at, length - at);
    if (at == length || (unsigned char)text[at] < 0x80)
      return at;
    do {
      size_t count = character_length(text + at, length - at);
      if (count == 0)
        return at;
      at += count;
    } while (at < length && (unsigned char)text[at] >= 0x80);
  }
}
