#include <stdio.h>
#include <words.h>

int main(void) {
	static char text[1 << 20];
	size_t n = fread(text, 1, sizeof text, stdin);
	printf("%zu\n", words(text, n));
	return ferror(stdin) != 0;
}
