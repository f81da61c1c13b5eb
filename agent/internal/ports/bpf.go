package ports

import (
	"encoding/binary"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// instruction is one instruction of the kernel's virtual machine (struct bpf_insn).
type instruction struct {
	code     uint8
	dst, src uint8
	off      int16
	imm      int32
}

// The operations that the programs below use (Documentation/bpf/standardization/instruction-set).
const (
	opLoadWord     = 0x61 // dst = *(u32 *)(src + off)
	opStoreZero    = 0x7a // *(u64 *)(dst + off) = imm
	opLoadMap      = 0x18 // dst = the map with descriptor imm; the next instruction belongs to it
	opCopy         = 0xbf // dst = src
	opSet          = 0xb7 // dst = imm
	opAdd          = 0x07 // dst += imm
	opOr           = 0x47 // dst |= imm
	opCall         = 0x85
	opExit         = 0x95
	opJump         = 0x05
	opJumpEqual    = 0x15 // if dst == imm
	opJumpNotEqual = 0x55 // if dst != imm
	pseudoMap      = 1

	helperSetFlags   = 59  // bpf_sock_ops_cb_flags_set
	helperRingOutput = 130 // bpf_ringbuf_output
	forceWakeup      = 2
)

// Commands of bpf(2), types and places of include/uapi/linux/bpf.h.
const (
	cmdMapCreate  = 0
	cmdProgLoad   = 5
	cmdLinkCreate = 28

	mapRing           = 27
	progCgroupSock    = 9
	progSockOps       = 13
	attachSockOps     = 3
	attachPostBind4   = 12
	attachPostBind6   = 13
	attachSockRelease = 34

	opsListen        = 11 // BPF_SOCK_OPS_TCP_LISTEN_CB
	opsState         = 10 // BPF_SOCK_OPS_STATE_CB
	opsWantState     = 1 << 2
	opsArgument      = 4  // offset of args[0]: the old state
	opsFlags         = 84 // offset of bpf_sock_ops_cb_flags
	sockType         = 8  // offset in struct bpf_sock
	sockState        = 72
	stateListen      = 10 // TCP_LISTEN
	stateUnconnected = 7  // TCP_CLOSE, which an unconnected UDP socket has
)

// announce writes one record into the ring, which wakes its reader, and lets the operation go on.
func announce(ring int) []instruction {
	return append([]instruction{
		{opStoreZero, 10, 0, -8, 0},
		{opLoadMap, 1, pseudoMap, 0, int32(ring)}, {},
		{opCopy, 2, 10, 0, 0},
		{opAdd, 2, 0, 0, -8},
		{opSet, 3, 0, 0, 8},
		{opSet, 4, 0, 0, forceWakeup},
		{opCall, 0, 0, 0, helperRingOutput},
	}, pass()...)
}

// pass lets the operation go on. A program that jumps out jumps to it.
func pass() []instruction {
	return []instruction{{opSet, 0, 0, 0, 1}, {opExit, 0, 0, 0, 0}}
}

const announceLength = 8

// onListen announces that a TCP socket listens, and that a listening one is one no more.
func onListen(ring int) []instruction {
	return append([]instruction{
		{opCopy, 6, 1, 0, 0},
		{opLoadWord, 1, 6, 0, 0},
		{opJumpEqual, 1, 0, 4, opsListen},
		{opJumpNotEqual, 1, 0, 7 + announceLength, opsState},
		{opLoadWord, 1, 6, opsArgument, 0},
		{opJumpNotEqual, 1, 0, 5 + announceLength, stateListen},
		{opJump, 0, 0, 4, 0},
		{opLoadWord, 2, 6, opsFlags, 0},
		{opOr, 2, 0, 0, opsWantState},
		{opCopy, 1, 6, 0, 0},
		{opCall, 0, 0, 0, helperSetFlags},
	}, announce(ring)...)
}

// onBind announces that a program has given a UDP socket a port.
func onBind(ring int) []instruction {
	return append([]instruction{
		{opLoadWord, 1, 1, sockType, 0},
		{opJumpNotEqual, 1, 0, announceLength, unix.SOCK_DGRAM},
	}, announce(ring)...)
}

// onRelease announces the end of a socket that listens, or of a UDP socket that any peer reaches.
func onRelease(ring int) []instruction {
	return append([]instruction{
		{opLoadWord, 2, 1, sockType, 0},
		{opLoadWord, 3, 1, sockState, 0},
		{opJumpEqual, 2, 0, 2, unix.SOCK_DGRAM},
		{opJumpEqual, 3, 0, 2, stateListen},
		{opJump, 0, 0, 1 + announceLength, 0},
		{opJumpNotEqual, 3, 0, announceLength, stateUnconnected},
	}, announce(ring)...)
}

// attach loads a program and runs it for every socket below a cgroup, as long as the returned
// descriptor is open.
func attach(cgroup int, kind, place uint32, program []instruction) (int, error) {
	loaded, err := load(kind, place, program)
	if err != nil {
		return -1, err
	}
	defer unix.Close(loaded)
	link := struct{ program, target, place, flags uint32 }{uint32(loaded), uint32(cgroup), place, 0}
	return bpf(cmdLinkCreate, unsafe.Pointer(&link), unsafe.Sizeof(link))
}

// load gives a program to the kernel, which checks it.
func load(kind, place uint32, program []instruction) (int, error) {
	code := make([]byte, 0, 8*len(program))
	for _, each := range program {
		code = append(code, each.code, each.src<<4|each.dst)
		code = binary.LittleEndian.AppendUint16(code, uint16(each.off))
		code = binary.LittleEndian.AppendUint32(code, uint32(each.imm))
	}
	license := []byte("Apache-2.0\x00")
	load := struct {
		kind, count   uint32
		code, license uint64
		log           [24]byte // log_level to prog_flags
		name          [20]byte // prog_name and prog_ifindex
		place         uint32
	}{kind: kind, count: uint32(len(program)), place: place}
	load.code = uint64(uintptr(unsafe.Pointer(&code[0])))
	load.license = uint64(uintptr(unsafe.Pointer(&license[0])))
	return bpf(cmdProgLoad, unsafe.Pointer(&load), unsafe.Sizeof(load), &code, &license)
}

// newRing makes the map through which programs wake this process.
func newRing() (int, error) {
	create := struct{ kind, key, value, entries uint32 }{mapRing, 0, 0, uint32(os.Getpagesize())}
	return bpf(cmdMapCreate, unsafe.Pointer(&create), unsafe.Sizeof(create))
}

// bpf calls bpf(2), which returns a descriptor. What the attributes point to is kept alive.
func bpf(command int, attributes unsafe.Pointer, size uintptr, kept ...*[]byte) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attributes), size)
	runtime.KeepAlive(kept)
	if errno != 0 {
		return -1, errno
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}
