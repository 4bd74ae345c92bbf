# Writes a JUnit report of what the program prints. It is on the PATH, because its task exports it.
got=$(printf 'one two three' | wordcount)
echo '<testsuite name="wordcount"><testcase classname="wordcount" name="three">'
[ "$got" = 3 ] || echo "<failure>$got words, expected 3</failure>"
echo '</testcase></testsuite>'
