package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AddEntropy gives the kernel the host's random bytes and makes it use them at once: a clone of a
// saved machine would otherwise repeat the random numbers of its twin.
func AddEntropy(raw []byte) error {
	random, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer random.Close()
	pool := make([]int32, 2+(len(raw)+3)/4)
	pool[0], pool[1] = int32(len(raw)*8), int32(len(raw))
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&pool[2])), len(raw)), raw)
	pointer := uintptr(unsafe.Pointer(&pool[0]))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, random.Fd(), unix.RNDADDENTROPY, pointer); errno != 0 {
		return errno
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, random.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return errno
	}
	return nil
}
