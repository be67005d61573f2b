// Package release proves the scripts of packaging/ that say which version a checkout is, and whether it can be released.
package release
