//go:build race

package launch

// slow is how many times slower than usual the tests run, which do the less.
const slow = 10
