//go:build race

package api_test

// usualRequests is how many random requests a test makes; the race detector makes each of them slower.
const usualRequests = 20_000
