package run

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// words are what may be paths in a log.
var words = regexp.MustCompile(`[A-Za-z0-9_.+@%/-]+`)

// maxHints is how many files a hint names.
const maxHints = 5

// mentioned returns those of absent files that a log speaks of: by their path in the workspace or in the task's folder, or by a name that
// no other file has. Compilers and scripts that miss a file say its name.
func mentioned(log, dir string, absent []string) []string {
	at := make(map[string]bool, len(absent))
	byName := make(map[string][]string, len(absent))
	for _, f := range absent {
		at[f] = true
		byName[path.Base(f)] = append(byName[path.Base(f)], f)
	}
	found := map[string]bool{}
	for _, word := range words.FindAllString(log, -1) {
		word = strings.Trim(word, ".")
		if word == "" || !strings.ContainsAny(word, "./") {
			continue
		}
		for _, p := range []string{path.Join(dir, word), path.Clean(word)} {
			if at[p] {
				found[p] = true
			}
		}
		if same := byName[path.Base(word)]; len(same) == 1 {
			found[same[0]] = true
		}
	}
	var out []string
	for f := range found {
		out = append(out, f)
	}
	slices.Sort(out)
	return out[:min(len(out), maxHints)]
}

func hint(files []string) string {
	if len(files) == 1 {
		return "; " + files[0] + " is in the workspace, but not among the task's sources"
	}
	return "; " + strings.Join(files, ", ") + " are in the workspace, but not among the task's sources"
}
