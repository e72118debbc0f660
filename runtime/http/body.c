#include "http/body.h"

/* Where in a chunked body the next byte stands. */
enum {
  SIZE,
  EXTENSION,
  SIZE_LF,
  DATA,
  DATA_CR,
  DATA_LF,
  TRAILER_START,
  TRAILER_NAME,
  TRAILER,
  TRAILER_LF,
  END_LF
};

/* Bytes of extensions and trailers that a body may have. Nobody reads them. */
enum { LINES_MAX = 16384, DIGITS_MAX = 15 };

void mw_http_body_begin(struct mw_http_body *body,
                        const struct mw_http_head *head) {
  *body = (struct mw_http_body){
      .left = head->framing == MW_HTTP_LENGTH ? head->content_length : 0,
      .framing = (uint8_t)head->framing,
      .state = SIZE,
      .over = head->framing == MW_HTTP_NO_BODY,
  };
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c) {
  unsigned char byte = (unsigned char)c;
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

static bool take_size(struct mw_http_body *body, char c) {
  int digit = hex_digit(c);
  if (digit >= 0) {
    body->left = body->left << 4 | (unsigned)digit;
    return ++body->digits <= DIGITS_MAX;
  }
  body->state = c == ';' ? EXTENSION : SIZE_LF;
  return body->digits > 0 && (c == ';' || c == '\r');
}

static bool take_text(struct mw_http_body *body, char c, uint8_t at_end) {
  if (c == '\r')
    body->state = at_end;
  return c == '\r' || is_text(c);
}

static bool take_trailer_name(struct mw_http_body *body, char c) {
  body->state = c == ':' ? TRAILER : TRAILER_NAME;
  return c == ':' || mw_http_is_token(&c, 1);
}

static bool take_trailer_start(struct mw_http_body *body, char c) {
  if (c != '\r')
    return c != ':' && take_trailer_name(body, c);
  body->state = END_LF;
  return true;
}

static bool expect(struct mw_http_body *body, char c, char wanted,
                   uint8_t next) {
  body->state = next;
  return c == wanted;
}

/* One byte of what stands around the data; whether it may stand there. */
static bool take_byte(struct mw_http_body *body, char c) {
  if (body->state != SIZE && ++body->line > LINES_MAX)
    return false;
  switch (body->state) {
  case SIZE: return take_size(body, c);
  case EXTENSION: return take_text(body, c, SIZE_LF);
  case SIZE_LF: return expect(body, c, '\n', body->left ? DATA : TRAILER_START);
  case DATA_CR: return expect(body, c, '\r', DATA_LF);
  case DATA_LF:
    body->digits = 0;
    body->line -= 3; /* what every chunk has counts for none */
    return expect(body, c, '\n', SIZE);
  case TRAILER_START: return take_trailer_start(body, c);
  case TRAILER_NAME: return take_trailer_name(body, c);
  case TRAILER: return take_text(body, c, TRAILER_LF);
  case TRAILER_LF: return expect(body, c, '\n', TRAILER_START);
  default: body->over = true; return c == '\n';
  }
}

static size_t take_data(struct mw_http_body *body, const char *bytes,
                        size_t length, struct mw_http_span *piece) {
  size_t count = length < body->left ? length : (size_t)body->left;
  *piece = (struct mw_http_span){bytes, count};
  body->left -= count;
  return count;
}

static ptrdiff_t take_chunked(struct mw_http_body *body, const char *bytes,
                              size_t length, struct mw_http_span *piece) {
  size_t taken = 0;
  while (taken < length && !body->over) {
    if (body->state == DATA) {
      taken += take_data(body, bytes + taken, length - taken, piece);
      if (body->left == 0)
        body->state = DATA_CR;
      break;
    }
    if (!take_byte(body, bytes[taken++]))
      return -1;
  }
  return (ptrdiff_t)taken;
}

ptrdiff_t mw_http_body_take(struct mw_http_body *body, const char *bytes,
                            size_t length, struct mw_http_span *piece) {
  *piece = (struct mw_http_span){bytes, 0};
  if (body->over || length == 0)
    return 0;
  if (body->framing == MW_HTTP_CHUNKED)
    return take_chunked(body, bytes, length, piece);
  if (body->framing == MW_HTTP_UNTIL_END) {
    piece->length = length;
    return (ptrdiff_t)length;
  }
  size_t taken = take_data(body, bytes, length, piece);
  body->over = body->left == 0;
  return (ptrdiff_t)taken;
}
