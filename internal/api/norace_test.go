//go:build !race

package api_test

// usualRequests is how many random requests a test makes.
const usualRequests = 20_000
