package value

import (
	"math/big"
	"strings"
)

// supers is the superclass, or the one interface that matters, of each class a script may name.
var supers = map[string]string{
	"java.lang.Throwable":                                                       "java.lang.Object",
	"java.lang.Exception":                                                       "java.lang.Throwable",
	"java.lang.Error":                                                           "java.lang.Throwable",
	"java.lang.RuntimeException":                                                "java.lang.Exception",
	"java.lang.CloneNotSupportedException":                                      "java.lang.Exception",
	"java.lang.InterruptedException":                                            "java.lang.Exception",
	"java.lang.ReflectiveOperationException":                                    "java.lang.Exception",
	"java.lang.ClassNotFoundException":                                          "java.lang.ReflectiveOperationException",
	"java.lang.NoSuchFieldException":                                            "java.lang.ReflectiveOperationException",
	"java.lang.NoSuchMethodException":                                           "java.lang.ReflectiveOperationException",
	"java.lang.ArithmeticException":                                             "java.lang.RuntimeException",
	"java.lang.ArrayStoreException":                                             "java.lang.RuntimeException",
	"java.lang.ClassCastException":                                              "java.lang.RuntimeException",
	"java.lang.IllegalArgumentException":                                        "java.lang.RuntimeException",
	"java.lang.IllegalMonitorStateException":                                    "java.lang.RuntimeException",
	"java.lang.IllegalStateException":                                           "java.lang.RuntimeException",
	"java.lang.IndexOutOfBoundsException":                                       "java.lang.RuntimeException",
	"java.lang.NegativeArraySizeException":                                      "java.lang.RuntimeException",
	"java.lang.NullPointerException":                                            "java.lang.RuntimeException",
	"java.lang.SecurityException":                                               "java.lang.RuntimeException",
	"java.lang.UnsupportedOperationException":                                   "java.lang.RuntimeException",
	"java.lang.NumberFormatException":                                           "java.lang.IllegalArgumentException",
	"java.lang.ArrayIndexOutOfBoundsException":                                  "java.lang.IndexOutOfBoundsException",
	"java.lang.StringIndexOutOfBoundsException":                                 "java.lang.IndexOutOfBoundsException",
	"java.lang.AssertionError":                                                  "java.lang.Error",
	"java.lang.LinkageError":                                                    "java.lang.Error",
	"java.lang.IncompatibleClassChangeError":                                    "java.lang.LinkageError",
	"java.lang.NoSuchMethodError":                                               "java.lang.IncompatibleClassChangeError",
	"java.lang.VirtualMachineError":                                             "java.lang.Error",
	"java.lang.StackOverflowError":                                              "java.lang.VirtualMachineError",
	"java.lang.OutOfMemoryError":                                                "java.lang.VirtualMachineError",
	"java.io.IOException":                                                       "java.lang.Exception",
	"java.io.UncheckedIOException":                                              "java.lang.RuntimeException",
	"java.io.FileNotFoundException":                                             "java.io.IOException",
	"java.io.EOFException":                                                      "java.io.IOException",
	"java.io.NotSerializableException":                                          "java.io.ObjectStreamException",
	"java.io.ObjectStreamException":                                             "java.io.IOException",
	"java.nio.file.FileSystemException":                                         "java.io.IOException",
	"java.nio.file.NoSuchFileException":                                         "java.nio.file.FileSystemException",
	"java.nio.file.AccessDeniedException":                                       "java.nio.file.FileSystemException",
	"java.nio.file.FileAlreadyExistsException":                                  "java.nio.file.FileSystemException",
	"java.nio.file.DirectoryNotEmptyException":                                  "java.nio.file.FileSystemException",
	"java.net.MalformedURLException":                                            "java.io.IOException",
	"java.net.URISyntaxException":                                               "java.lang.Exception",
	"java.net.UnknownHostException":                                             "java.io.IOException",
	"java.net.SocketException":                                                  "java.io.IOException",
	"java.net.ConnectException":                                                 "java.net.SocketException",
	"java.net.SocketTimeoutException":                                           "java.io.IOException",
	"java.text.ParseException":                                                  "java.lang.Exception",
	"java.util.ConcurrentModificationException":                                 "java.lang.RuntimeException",
	"java.util.EmptyStackException":                                             "java.lang.RuntimeException",
	"java.util.NoSuchElementException":                                          "java.lang.RuntimeException",
	"java.util.InputMismatchException":                                          "java.util.NoSuchElementException",
	"java.util.MissingResourceException":                                        "java.lang.RuntimeException",
	"java.util.UnknownFormatConversionException":                                "java.util.IllegalFormatException",
	"java.util.MissingFormatArgumentException":                                  "java.util.IllegalFormatException",
	"java.util.IllegalFormatException":                                          "java.lang.IllegalArgumentException",
	"java.util.IllegalFormatConversionException":                                "java.util.IllegalFormatException",
	"java.util.regex.PatternSyntaxException":                                    "java.lang.IllegalArgumentException",
	"java.util.concurrent.TimeoutException":                                     "java.lang.Exception",
	"java.util.concurrent.ExecutionException":                                   "java.lang.Exception",
	"java.util.concurrent.CancellationException":                                "java.lang.IllegalStateException",
	"java.time.DateTimeException":                                               "java.lang.RuntimeException",
	"groovy.lang.GroovyRuntimeException":                                        "java.lang.RuntimeException",
	"groovy.lang.MissingMethodException":                                        "groovy.lang.GroovyRuntimeException",
	"groovy.lang.MissingPropertyException":                                      "groovy.lang.GroovyRuntimeException",
	"groovy.lang.MissingFieldException":                                         "groovy.lang.MissingPropertyException",
	"groovy.lang.ReadOnlyPropertyException":                                     "groovy.lang.MissingPropertyException",
	"groovy.json.JsonException":                                                 "groovy.lang.GroovyRuntimeException",
	"org.codehaus.groovy.runtime.InvokerInvocationException":                    "groovy.lang.GroovyRuntimeException",
	"org.codehaus.groovy.runtime.typehandling.GroovyCastException":              "java.lang.ClassCastException",
	"org.codehaus.groovy.runtime.powerassert.PowerAssertionError":               "java.lang.AssertionError",
	"hudson.AbortException":                                                     "java.io.IOException",
	FlowInterrupted:                                                             "java.lang.InterruptedException",
	"org.jenkinsci.plugins.workflow.steps.MissingContextVariableException":      "java.lang.Exception",
	"hudson.remoting.ChannelClosedException":                                    "java.io.IOException",
	"hudson.remoting.RequestAbortedException":                                   "java.lang.RuntimeException",
	"org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException":      "java.lang.SecurityException",
	"org.jenkinsci.plugins.workflow.support.steps.AgentOfflineException":        "hudson.AbortException",
	"org.jenkinsci.plugins.credentialsbinding.impl.CredentialNotFoundException": "hudson.AbortException",
	"java.lang.Number":                                                          "java.lang.Object",
	"java.lang.Integer":                                                         "java.lang.Number",
	"java.lang.Long":                                                            "java.lang.Number",
	"java.lang.Short":                                                           "java.lang.Number",
	"java.lang.Byte":                                                            "java.lang.Number",
	"java.lang.Double":                                                          "java.lang.Number",
	"java.lang.Float":                                                           "java.lang.Number",
	"java.math.BigInteger":                                                      "java.lang.Number",
	"java.math.BigDecimal":                                                      "java.lang.Number",
	"java.lang.CharSequence":                                                    "java.lang.Object",
	"java.lang.String":                                                          "java.lang.CharSequence",
	"groovy.lang.GString":                                                       "java.lang.CharSequence",
	"org.codehaus.groovy.runtime.GStringImpl":                                   "groovy.lang.GString",
	"java.lang.StringBuilder":                                                   "java.lang.CharSequence",
	"java.lang.Iterable":                                                        "java.lang.Object",
	"java.util.Collection":                                                      "java.lang.Iterable",
	"java.util.List":                                                            "java.util.Collection",
	"java.util.AbstractList":                                                    "java.util.List",
	"java.util.ArrayList":                                                       "java.util.AbstractList",
	"java.util.LinkedList":                                                      "java.util.AbstractList",
	"groovy.lang.Range":                                                         "java.util.List",
	"groovy.lang.IntRange":                                                      "groovy.lang.Range",
	"groovy.lang.ObjectRange":                                                   "groovy.lang.Range",
	"java.util.Set":                                                             "java.util.Collection",
	"java.util.HashSet":                                                         "java.util.Set",
	"java.util.LinkedHashSet":                                                   "java.util.HashSet",
	"java.util.Map":                                                             "java.lang.Object",
	"java.util.AbstractMap":                                                     "java.util.Map",
	"java.util.HashMap":                                                         "java.util.AbstractMap",
	"java.util.LinkedHashMap":                                                   "java.util.HashMap",
	"java.util.SortedMap":                                                       "java.util.Map",
	"java.util.TreeSet":                                                         "java.util.Set",
	"java.util.SortedSet":                                                       "java.util.Set",
	"java.util.TreeMap":                                                         "java.util.AbstractMap",
	"groovy.lang.Closure":                                                       "java.lang.Object",
	"java.lang.Class":                                                           "java.lang.Object",
	"groovy.lang.Script":                                                        "java.lang.Object",
	"java.util.Date":                                                            "java.lang.Object",
	"java.lang.Boolean":                                                         "java.lang.Object",
	"java.lang.Character":                                                       "java.lang.Object",
	"java.util.regex.Pattern":                                                   "java.lang.Object",
	"java.util.regex.Matcher":                                                   "java.lang.Object",
	"java.util.Map$Entry":                                                       "java.lang.Object",
}

// also are the interfaces beside the superclass.
var also = map[string]string{
	"java.lang.String": "java.lang.Comparable", "java.lang.Number": "java.io.Serializable", "java.lang.Integer": "java.lang.Comparable",
	"groovy.lang.Closure": "java.lang.Runnable", "java.util.Date": "java.lang.Comparable",
}

// defaultPackages are what Groovy imports by itself, and where Jenkins' own classes are looked for when they are named without
// their package (scripts import them).
var defaultPackages = []string{"java.lang.", "java.util.", "java.io.", "java.net.", "groovy.lang.", "groovy.util.", "java.math."}

var aliases = map[string]string{
	"int": "java.lang.Integer", "long": "java.lang.Long", "double": "java.lang.Double", "float": "java.lang.Float",
	"boolean": "java.lang.Boolean", "char": "java.lang.Character", "short": "java.lang.Short", "byte": "java.lang.Byte",
	"void": "java.lang.Void", "def": "java.lang.Object",
	"AbortException": AbortException, "FlowInterruptedException": FlowInterrupted, "NoSuchFileException": "java.nio.file.NoSuchFileException",
	"Pattern": "java.util.regex.Pattern", "Matcher": "java.util.regex.Matcher",
	"JsonSlurper": "groovy.json.JsonSlurper", "JsonSlurperClassic": "groovy.json.JsonSlurperClassic", "JsonOutput": "groovy.json.JsonOutput",
	"JsonException": "groovy.json.JsonException", "TimeUnit": "java.util.concurrent.TimeUnit",
	"SimpleDateFormat": "java.text.SimpleDateFormat", "PowerAssertionError": "org.codehaus.groovy.runtime.powerassert.PowerAssertionError",
	"MissingContextVariableException": "org.jenkinsci.plugins.workflow.steps.MissingContextVariableException",
	"RejectedAccessException":         "org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException",
	"ParseException":                  "java.text.ParseException",
	"GroovyCastException":             "org.codehaus.groovy.runtime.typehandling.GroovyCastException",
}

// plain are classes without an entry in supers that scripts name: their methods are static, or they are made with new.
var plain = map[string]bool{
	"java.lang.Object": true, "java.lang.Math": true, "java.lang.System": true, "java.lang.Thread": true, "java.lang.Comparable": true,
	"java.lang.Runnable": true, "java.util.Collections": true, "java.util.Arrays": true, "java.util.UUID": true, "java.util.Random": true,
	"java.util.Locale": true, "java.util.TimeZone": true, "java.util.Calendar": true, "java.util.Base64": true, "java.util.Objects": true,
	"java.util.Iterator": true, "java.util.concurrent.TimeUnit": true, "java.net.URLEncoder": true, "java.net.URLDecoder": true,
	"java.net.URL": true, "java.net.URI": true, "java.io.File": true, "java.io.Serializable": true, "java.text.SimpleDateFormat": true,
	"groovy.json.JsonSlurper": true, "groovy.json.JsonSlurperClassic": true, "groovy.json.JsonOutput": true, "groovy.json.JsonBuilder": true,
	"java.lang.StringBuffer": true, "java.nio.charset.StandardCharsets": true,
	"java.util.Properties": true, "java.lang.Void": true, "java.util.Queue": true, "java.util.Stack": true,
}

// ClassName is the full name of a class known by this name: "Exception" is "java.lang.Exception"; ok false when none is.
func ClassName(name string) (full string, ok bool) {
	if full, ok = aliases[name]; ok {
		return full, true
	}
	if known(name) {
		return name, true
	}
	if !strings.Contains(name, ".") {
		for _, p := range defaultPackages {
			if known(p + name) {
				return p + name, true
			}
		}
	}
	return name, false
}

func known(name string) bool { _, ok := supers[name]; return ok || plain[name] }

// Super is the superclass of a built-in class; "" when there is none or it is not known.
func Super(class string) string { return supers[class] }

// IsA reports whether a class is another, or one of its descendants. Both may be simple names.
func IsA(class, ancestor string) bool {
	a, _ := ClassName(ancestor)
	c, _ := ClassName(class)
	if a == "java.lang.Object" {
		return true
	}
	for c != "" {
		if c == a || also[c] == a || (!strings.Contains(ancestor, ".") && Simple(c) == ancestor) {
			return true
		}
		c = supers[c]
	}
	return false
}

// IsThrowable reports whether a built-in class can be thrown.
func IsThrowable(class string) bool { return IsA(class, "java.lang.Throwable") }

// TypeName is the Java class that messages show for a value: "java.util.ArrayList"; "null" for nil.
func TypeName(v Value) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "java.lang.Boolean"
	case int64:
		if RankOf(x) == LongRank {
			return "java.lang.Long"
		}
		return "java.lang.Integer"
	case Long:
		return "java.lang.Long"
	case Char:
		return "java.lang.Character"
	case float64:
		return "java.lang.Double"
	case *big.Int:
		return "java.math.BigInteger"
	case *Decimal:
		return "java.math.BigDecimal"
	case string:
		return "java.lang.String"
	case *GString:
		return "org.codehaus.groovy.runtime.GStringImpl"
	case *List:
		if x.Array != "" {
			return arrayName(x.Array)
		}
		return "java.util.ArrayList"
	case *Set:
		return "java.util.LinkedHashSet"
	case *Map:
		if x.Class != "" {
			return x.Class
		}
		return "java.util.LinkedHashMap"
	case *MapEntry:
		return "java.util.LinkedHashMap$Entry"
	case *Range:
		if x.IsText() {
			return "groovy.lang.ObjectRange"
		}
		return "groovy.lang.IntRange"
	case *Regex:
		return "java.util.regex.Pattern"
	case *Matcher:
		return "java.util.regex.Matcher"
	case *Exception:
		return x.Class
	case *Class:
		return "java.lang.Class"
	case Object:
		return x.TypeName()
	case Callable:
		return "groovy.lang.Closure"
	}
	return "java.lang.Object"
}

func arrayName(elem string) string {
	full, _ := ClassName(elem)
	switch elem {
	case "int":
		return "[I"
	case "byte":
		return "[B"
	case "char":
		return "[C"
	case "long":
		return "[J"
	case "double":
		return "[D"
	case "boolean":
		return "[Z"
	}
	return "[L" + full + ";"
}
