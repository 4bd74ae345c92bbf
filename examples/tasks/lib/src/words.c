#include "words.h"

#include <ctype.h>

size_t words(const char *text, size_t n) {
	size_t count = 0;
	int inside = 0;
	for (size_t i = 0; i < n; i++) {
		int space = isspace((unsigned char)text[i]);
		count += !space && !inside;
		inside = !space;
	}
	return count;
}
