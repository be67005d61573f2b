package relay_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
)

// noSplice names the variable that makes this test program run without splice(2).
const noSplice = "SERIALHUB_TEST_NO_SPLICE"

// TestWithoutSplice runs all the other tests of this package again, in a process for which splice(2) fails with EINVAL,
// as an older kernel's does for some descriptors.
func TestWithoutSplice(t *testing.T) {
	if os.Getenv(noSplice) != "" {
		return // this is that process
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), program, "-test.run=^Test", "-test.short="+fmt.Sprint(testing.Short()))
	again.Env = append(os.Environ(), noSplice+"=1")
	if output, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// forbidSplice makes splice(2) fail with EINVAL for the whole process, by a filter of seccomp(2).
func forbidSplice() error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: unix.SYS_SPLICE},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}

func TestPathIsToldOfTheSender(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	carry(t, a, other, []byte("ping"))
	carry(t, other, a, []byte("pong"))
	want := os.Getenv(noSplice) != ""
	for side := range b.counters {
		b.eventually("the path is known", func() bool { return b.counters[side].Copied.Load() == want })
	}
	b.disconnect(relay.A, a)
	b.disconnect(relay.B, other)
	for side := range b.counters {
		b.eventually("a lane without peers copies nothing", func() bool { return !b.counters[side].Copied.Load() })
	}
}
