/*
 * Intrusive lists: the links stand in the objects, so that joining and leaving
 * need no memory. A list is a link of its own, the neighbour of its first and
 * last object. Owns nothing. No lock: one thread at a time.
 */
#ifndef MW_BASE_LIST_H
#define MW_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mw_link {
  struct mw_link *next, *prev;
};

/** The object of a type that has this link as its field of that name. */
#define MW_LINKED(link, type, field)                                           \
  ((type *)(void *)((char *)(link)-offsetof(type, field)))

/** Makes an empty list, or a link that stands in none. */
static inline void mw_list_init(struct mw_link *link) {
  link->next = link->prev = link;
}

/** Whether the list is empty, or the link stands in none. */
static inline bool mw_list_is_empty(const struct mw_link *link) {
  return link->next == link;
}

/** Puts a link, which stands in no list, right behind another. */
static inline void mw_list_insert_after(struct mw_link *other,
                                        struct mw_link *link) {
  link->prev = other;
  link->next = other->next;
  other->next->prev = link;
  other->next = link;
}

/** Puts a link, which stands in no list, at the end. */
static inline void mw_list_append(struct mw_link *list, struct mw_link *link) {
  mw_list_insert_after(list->prev, link);
}

/** Takes a link out of the list that it stands in; harmless where in none. */
static inline void mw_list_remove(struct mw_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  mw_list_init(link);
}

#endif
