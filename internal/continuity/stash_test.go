package continuity_test

import (
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"serialhub/internal/continuity"
	"serialhub/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socketPair is two connected sockets; the first is closed with the test only if it is still open.
func socketPair(t *testing.T) [2]int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[1]) })
	return pair
}

// hungUp tells whether the other end of a socket is closed everywhere.
func hungUp(t *testing.T, fd int) bool {
	t.Helper()
	n, err := unix.Read(fd, make([]byte, 1))
	return n == 0 && err == nil
}

func TestStashHoldsWhatIsClosed(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	stash, err := continuity.NewStash()
	if err != nil {
		t.Fatal(err)
	}
	old, kept := socketPair(t), socketPair(t)
	if err := stash.Keep([]byte("old"), []int{old[0]}); err != nil {
		t.Fatal(err)
	}
	unix.Close(old[0])
	if hungUp(t, old[1]) {
		t.Error("a socket that is kept has been closed")
	}
	if err := stash.Keep([]byte("new"), []int{kept[0]}); err != nil {
		t.Fatal(err)
	}
	unix.Close(kept[0])
	if !hungUp(t, old[1]) {
		t.Error("a socket that is not kept any more is still open")
	}

	again, text, descriptors, err := continuity.OpenStash(stash.FD())
	if err != nil || string(text) != "new" || len(descriptors) != 1 {
		t.Fatalf("the stash gives %q and %d descriptors, %v", text, len(descriptors), err)
	}
	if _, err := unix.Write(descriptors[0], []byte("x")); err != nil {
		t.Error(err)
	}
	unix.Close(descriptors[0])
	if hungUp(t, kept[1]) {
		t.Error("the stash has not kept what it has given")
	}
	if err := again.Empty(); err != nil {
		t.Error(err)
	}
	if !hungUp(t, kept[1]) {
		t.Error("an empty stash keeps something")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestStashAfterAnInterruptedKeep finds the newer of two messages, which a process leaves that is killed within Keep.
func TestStashAfterAnInterruptedKeep(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	stash, err := continuity.NewStash()
	if err != nil {
		t.Fatal(err)
	}
	first, second := socketPair(t), socketPair(t)
	if err := stash.Keep([]byte("a longer text"), []int{first[0]}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(stash.FD(), []byte("2"), unix.UnixRights(second[0]), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(first[0])
	unix.Close(second[0])
	again, text, descriptors, err := continuity.OpenStash(stash.FD())
	if err != nil || string(text) != "2" || len(descriptors) != 1 {
		t.Fatalf("the stash gives %q and %d descriptors, %v", text, len(descriptors), err)
	}
	if err := again.Keep([]byte("3"), descriptors); err != nil {
		t.Error(err)
	}
	unix.Close(descriptors[0])
	if !hungUp(t, first[1]) || hungUp(t, second[1]) {
		t.Error("it keeps the old, or has lost the new")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if !hungUp(t, second[1]) {
		t.Error("a closed stash keeps something")
	}
}
