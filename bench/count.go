package bench

import (
	"fmt"
	"os"
	"strconv"
)

// CountEnv is the environment variable that says how many devices a list has.
const CountEnv = "VOUCHMILL_BENCH_N"

// Count returns the number of devices of a benchmark's list: what CountEnv
// says, 100,000 where it says nothing.
func Count() (uint64, error) {
	text := os.Getenv(CountEnv)
	if text == "" {
		return 100_000, nil
	}
	n, err := strconv.ParseUint(text, 10, 40)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s=%q: want a count of devices, as 1000000", CountEnv, text)
	}
	return n, nil
}
