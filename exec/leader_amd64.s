#include "textflag.h"

// SYS_clone, SYS_setpgid and SYS_exit, see syscalls(2).
#define clone $56
#define setpgid $109
#define exit $60

// CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_VFORK | SIGCHLD, see clone(2).
#define flags $0x4711

// func cloneLeader() (pid int)
//
// Parent and child share this stack, and the parent sleeps until the child has ended: so
// the child must not use the stack, and does not, as it only makes system calls.
TEXT ·cloneLeader(SB),NOSPLIT,$0-8
	MOVQ flags, DI
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL clone, AX
	SYSCALL
	TESTQ AX, AX
	JNE parent
	XORL DI, DI
	XORL SI, SI
	MOVL setpgid, AX
	SYSCALL
	XORL DI, DI
	MOVL exit, AX
	SYSCALL
	INT $3 // not reached
parent:
	MOVQ AX, pid+0(FP)
	RET
