/* Writes a JUnit report of what words() counts. */
#include <stdio.h>
#include <string.h>
#include <words.h>

static void expect(const char *name, const char *text, size_t want) {
	size_t got = words(text, strlen(text));
	printf("  <testcase classname=\"words\" name=\"%s\">", name);
	if (got != want)
		printf("<failure>%zu words, expected %zu</failure>", got, want);
	printf("</testcase>\n");
}

int main(void) {
	printf("<testsuite name=\"words\">\n");
	expect("none", "", 0);
	expect("one", "one", 1);
	expect("several", "one two\tthree\nfour", 4);
	expect("space around", "  one  ", 1);
	printf("</testsuite>\n");
	return 0;
}
