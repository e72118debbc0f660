#include "http/parser.h"

#include <http_parser.h>
#include <string.h>

enum { RESPONSE_HEADERS_MAX = 2000 };

/* What is gathered while the library goes through a head. */
struct reading {
  struct mw_http_head *head;
  struct mw_http_span name;
  unsigned max_headers, hosts, transfer_encodings;
  bool chunked; /* the last coding that was named */
  bool chunked_before;
  bool to_head; /* a response that has no body whatever it says */
  int refusal;
};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* RFC 9110, 5.6.2: a bit for each of the first 128 characters. */
static bool is_token_char(char c) {
  static const uint64_t bits[2] = {
      0x03ff6cfa00000000, /* !#$%&'*+-. and digits */
      0x57ffffffc7fffffe, /* letters and ^_`|~ */
  };
  unsigned char byte = (unsigned char)c;
  return byte < 128 && (bits[byte >> 6] >> (byte & 63) & 1);
}

bool mw_http_is_token(const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!is_token_char(bytes[i]))
      return false;
  return length > 0;
}

static bool is_value_char(char c) {
  unsigned char byte = (unsigned char)c;
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/* Whether none of eight bytes is a control character; a tab is taken for one.
   With a byte below 0x20, or none but its top bit set after the xor, a
   subtraction borrows into a top bit that was clear. */
static bool are_eight_plain(const char *bytes) {
  const uint64_t ones = UINT64_MAX / 0xff, tops = ones * 0x80;
  uint64_t eight;
  memcpy(&eight, bytes, sizeof eight);
  uint64_t deletes = eight ^ ones * 0x7f;
  return !(((eight - ones * 0x20) & ~eight & tops) |
           ((deletes - ones) & ~deletes & tops));
}

bool mw_http_is_value(const char *bytes, size_t length) {
  size_t i = 0;
  while (i < length) {
    if (length - i >= 8 && are_eight_plain(bytes + i))
      i += 8;
    else if (!is_value_char(bytes[i++]))
      return false;
  }
  return true;
}

bool mw_http_same_name(const char *name, size_t length, const char *other,
                       size_t other_length) {
  if (length != other_length)
    return false;
  for (size_t i = 0; i < length; i++)
    if (lower(name[i]) != lower(other[i]))
      return false;
  return true;
}

static bool is(struct mw_http_span span, const char *other) {
  return mw_http_same_name(span.at, span.length, other, strlen(other));
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

static struct mw_http_span trim(const char *at, size_t length) {
  while (length > 0 && is_blank(*at))
    at++, length--;
  while (length > 0 && is_blank(at[length - 1]))
    length--;
  return (struct mw_http_span){at, length};
}

/* where a head ends */

ptrdiff_t mw_http_head_find(const char *bytes, size_t length, size_t *seen) {
  while (*seen < length) {
    const char *end = memchr(bytes + *seen, '\n', length - *seen);
    if (!end) {
      *seen = length;
      return 0;
    }
    size_t size = (size_t)(end - bytes) + 1;
    if (size < 2 || end[-1] != '\r')
      return -1;
    *seen = size;
    if (size == 2 || end[-2] == '\n')
      return (ptrdiff_t)size;
  }
  return 0;
}

/* Whether every line is one: no fold, no CR but at its end, no NUL. */
static bool has_sound_lines(const char *bytes, size_t size) {
  const char *line = bytes, *end = bytes + size;
  while (line < end) {
    const char *cr = memchr(line, '\r', (size_t)(end - line));
    if (!cr || cr + 1 >= end || cr[1] != '\n' || is_blank(*line))
      return false;
    line = cr + 2;
  }
  return !memchr(bytes, '\0', size);
}

/* headers that say how the message goes on */

/* Said twice, it has to be the same (RFC 9110, 8.6). */
static bool read_length(struct reading *reading, struct mw_http_span value) {
  struct mw_http_head *head = reading->head;
  uint64_t number = 0;
  if (value.length == 0)
    return false;
  for (size_t i = 0; i < value.length; i++) {
    unsigned digit = (unsigned)(value.at[i] - '0');
    if (!is_digit(value.at[i]) || number > ((uint64_t)INT64_MAX - digit) / 10)
      return false;
    number = number * 10 + digit;
  }
  if (head->has_length && head->content_length != number)
    return false;
  head->has_length = true;
  head->content_length = number;
  return true;
}

/* Takes the next item off a list with commas. */
static bool next_item(struct mw_http_span *list, struct mw_http_span *item) {
  if (!list->at)
    return false;
  const char *comma = memchr(list->at, ',', list->length);
  size_t length = comma ? (size_t)(comma - list->at) : list->length;
  *item = trim(list->at, length);
  list->at = comma ? comma + 1 : NULL;
  list->length -= comma ? length + 1 : length;
  return true;
}

static bool read_codings(struct reading *reading, struct mw_http_span list) {
  struct mw_http_span item;
  reading->transfer_encodings++;
  while (next_item(&list, &item)) {
    reading->chunked_before = reading->chunked_before || reading->chunked;
    reading->chunked = is(item, "chunked");
    if (item.length == 0 || reading->chunked_before)
      return false;
  }
  return true;
}

static void read_expectation(struct reading *reading,
                             struct mw_http_span value) {
  if (is(value, "100-continue"))
    reading->head->expects_continue = true;
  else
    reading->head->expects_other = true;
}

/* Whether what the header says can be. */
static bool read_header(struct reading *reading, struct mw_http_span value) {
  struct mw_http_span name = reading->name;
  switch (name.length) {
  case 4: return !is(name, "host") || ++reading->hosts == 1;
  case 6:
    if (is(name, "expect"))
      read_expectation(reading, value);
    return true;
  case 14: return !is(name, "content-length") || read_length(reading, value);
  case 17:
    return !is(name, "transfer-encoding") || read_codings(reading, value);
  default: return true;
  }
}

/* the library's callbacks */

static int on_target(http_parser *parser, const char *at, size_t length) {
  struct reading *reading = parser->data;
  reading->head->target = (struct mw_http_span){at, length};
  return 0;
}

static int on_reason(http_parser *parser, const char *at, size_t length) {
  struct reading *reading = parser->data;
  reading->head->reason = (struct mw_http_span){at, length};
  return 0;
}

static int refuse(struct reading *reading, int status) {
  reading->refusal = status;
  return -1;
}

static int on_name(http_parser *parser, const char *at, size_t length) {
  struct reading *reading = parser->data;
  if (!mw_http_is_token(at, length))
    return refuse(reading, 400);
  if (++reading->head->header_count > reading->max_headers)
    return refuse(reading, 431);
  reading->name = (struct mw_http_span){at, length};
  return 0;
}

static int on_value(http_parser *parser, const char *at, size_t length) {
  struct reading *reading = parser->data;
  /* The library looks at no more than the first bytes. */
  if (!mw_http_is_value(at, length) || !read_header(reading, trim(at, length)))
    return refuse(reading, 400);
  /* A second length is ours to judge. */
  parser->flags = parser->flags & (0xff ^ F_CONTENTLENGTH);
  return 0;
}

/* Bodies are read elsewhere: to the library, each message is over here. */
static int on_complete(http_parser *parser) {
  struct reading *reading = parser->data;
  struct mw_http_head *head = reading->head;
  if (reading->to_head)
    parser->flags |= F_SKIPBODY;
  head->keep_alive = http_should_keep_alive(parser);
  head->upgrade = parser->upgrade;
  return 1;
}

static const http_parser_settings settings = {
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_complete,
};

static bool execute(http_parser *parser, enum http_parser_type type,
                    const char *bytes, size_t size, struct reading *reading) {
  http_parser_init(parser, type);
  parser->data = reading;
  /* The limit of the library is a global one, and ours has held already. */
  http_parser_set_max_header_size(UINT32_MAX);
  size_t parsed = http_parser_execute(parser, &settings, bytes, size);
  enum http_errno error = HTTP_PARSER_ERRNO(parser);
  return parsed == size && (error == HPE_OK || error == HPE_PAUSED) &&
         parser->http_major == 1 && parser->http_minor <= 1;
}

/* requests */

/* The method is what stands before the target, by one space each. */
static bool read_request_line(const char *bytes, size_t size,
                              struct mw_http_head *head) {
  const char *end = memchr(bytes, '\r', size);
  const char *space = memchr(bytes, ' ', (size_t)(end - bytes));
  struct mw_http_span target = head->target;
  if (!space || target.at != space + 1 ||
      (size_t)(end - target.at) != target.length + strlen(" HTTP/1.1") ||
      memcmp(target.at + target.length, " HTTP/1.", 8) != 0)
    return false;
  for (size_t i = 0; i < target.length; i++)
    if ((unsigned char)target.at[i] <= ' ' || target.at[i] == 0x7f)
      return false;
  head->method = (struct mw_http_span){bytes, (size_t)(space - bytes)};
  return true;
}

static bool decide_request_framing(const struct reading *reading) {
  struct mw_http_head *head = reading->head;
  if (reading->transfer_encodings > 0) {
    head->framing = MW_HTTP_CHUNKED;
    return reading->chunked && !head->has_length && head->minor == 1;
  }
  head->framing = head->has_length && head->content_length > 0
                      ? MW_HTTP_LENGTH
                      : MW_HTTP_NO_BODY;
  return true;
}

int mw_http_parse_request(const char *bytes, size_t size, unsigned max_headers,
                          struct mw_http_head *head) {
  http_parser parser;
  *head = (struct mw_http_head){.status = 0};
  struct reading reading = {.head = head, .max_headers = max_headers};
  if (!has_sound_lines(bytes, size))
    return 400;
  if (!execute(&parser, HTTP_REQUEST, bytes, size, &reading))
    return reading.refusal ? reading.refusal : 400;
  head->minor = parser.http_minor;
  if (!read_request_line(bytes, size, head) ||
      !decide_request_framing(&reading))
    return 400;
  if (head->minor == 1 && reading.hosts != 1)
    return 400;
  if (head->minor == 0)
    head->expects_continue = head->expects_other = false;
  return 0;
}

/* responses */

static bool has_no_body(int status, bool to_head) {
  return to_head || status / 100 == 1 || status == 204 || status == 304;
}

/* RFC 9112, 6.3 */
static bool decide_response_framing(const struct reading *reading,
                                    bool to_head) {
  struct mw_http_head *head = reading->head;
  if (reading->transfer_encodings > 0 && head->has_length)
    return false;
  if (has_no_body(head->status, to_head))
    head->framing = MW_HTTP_NO_BODY;
  else if (reading->transfer_encodings > 0)
    head->framing = reading->chunked ? MW_HTTP_CHUNKED : MW_HTTP_UNTIL_END;
  else if (!head->has_length)
    head->framing = MW_HTTP_UNTIL_END;
  else
    head->framing = head->content_length > 0 ? MW_HTTP_LENGTH : MW_HTTP_NO_BODY;
  return true;
}

/* "HTTP/1.1 200" and a space or the end; the library looks less closely. */
static bool has_status_line(const char *bytes, size_t size) {
  return size > 12 && memcmp(bytes, "HTTP/1.", 7) == 0 && bytes[8] == ' ' &&
         is_digit(bytes[9]) && is_digit(bytes[10]) && is_digit(bytes[11]) &&
         (bytes[12] == ' ' || bytes[12] == '\r');
}

int mw_http_parse_response(const char *bytes, size_t size, bool to_head,
                           struct mw_http_head *head) {
  http_parser parser;
  *head = (struct mw_http_head){.status = 0};
  struct reading reading = {
      .head = head, .max_headers = RESPONSE_HEADERS_MAX, .to_head = to_head};
  if (!has_status_line(bytes, size) || !has_sound_lines(bytes, size) ||
      !execute(&parser, HTTP_RESPONSE, bytes, size, &reading))
    return -1;
  head->minor = parser.http_minor;
  head->status = (int)parser.status_code;
  if (!decide_response_framing(&reading, to_head))
    return -1;
  /* To the library every body without a length needs the end. */
  if (head->framing == MW_HTTP_UNTIL_END)
    head->keep_alive = false;
  return 0;
}

/* headers, once more */

bool mw_http_next_header(struct mw_http_span *rest, struct mw_http_span *name,
                         struct mw_http_span *value) {
  const char *end = rest->at + rest->length;
  const char *cr = memchr(rest->at, '\r', rest->length);
  if (!cr)
    return false;
  const char *line = cr + 2, *line_end = line;
  if (line < end)
    line_end = memchr(line, '\r', (size_t)(end - line));
  const char *colon =
      line < end ? memchr(line, ':', (size_t)(line_end - line)) : NULL;
  if (!colon)
    return false;
  *name = (struct mw_http_span){line, (size_t)(colon - line)};
  *value = trim(colon + 1, (size_t)(line_end - colon) - 1);
  *rest = (struct mw_http_span){line_end, (size_t)(end - line_end)};
  return true;
}

const char *mw_http_reason(int status) {
  switch (status) {
#define REASON(code, name, text)                                               \
  case code: return #text;
    HTTP_STATUS_MAP(REASON)
#undef REASON
  default: return "Unknown";
  }
}
