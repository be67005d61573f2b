// Package docs proves the project's pages: every command in them runs, every file in them loads, every link leads somewhere, and every promise has its
// test. The pages are read from the tree as they are, so what is changed in one is what is proved.
package docs
