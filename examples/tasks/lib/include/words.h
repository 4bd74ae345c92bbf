#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

/* words returns how many words there are in n bytes of text. */
size_t words(const char *text, size_t n);

#endif
