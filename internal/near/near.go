// Package near measures how far apart two spellings are, for "did you mean".
package near

// longest is how many characters a word may have: nobody misspells longer ones, and comparing them costs their product.
const longest = 200

// Distance is how many characters must be put in, left out, replaced or swapped with their neighbour to make b of a (the optimal string
// alignment distance). Anything above limit may be returned as limit+1; so are words of more than 200 characters.
func Distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d > limit || -d > limit || len(x) > longest || len(y) > longest {
		return limit + 1
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
