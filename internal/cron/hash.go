package cron

import "crypto/md5" //nolint:gosec // it spreads load and guards nothing; Jenkins' choice

// Hash returns a number of 0 to n-1 for the next H of a table; the same seed always has the same row of numbers. It is
// used up by one Parse.
type Hash func(n int) int

// HashOf is Jenkins' hash of a seed (there the full name of the job): a job that moves here keeps its minutes.
func HashOf(seed string) Hash {
	sum := md5.Sum([]byte(seed)) //nolint:gosec // see above
	var folded uint64
	for i := range 8 {
		folded = folded<<8 | uint64(sum[i]^sum[i+8])
	}
	const multiplier, mask = 0x5DEECE66D, 1<<48 - 1 // the generator of java.util.Random
	state := (folded ^ multiplier) & mask
	next := func() int32 {
		state = (state*multiplier + 0xB) & mask
		return int32(state >> 17)
	}
	return func(n int) int {
		bound := int32(n)
		if bound&-bound == bound {
			return int(int64(bound) * int64(next()) >> 31)
		}
		for {
			bits := next()
			value := bits % bound
			if bits-value+(bound-1) >= 0 { // else it overflowed: the last, incomplete run of remainders
				return int(value)
			}
		}
	}
}
