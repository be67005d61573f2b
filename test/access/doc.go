// Package access has the tests of who may call the API: the real program, against foreign clients and other users.
package access
