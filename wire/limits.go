package wire

// Limits of the protocol. A length is checked against its limit before
// anything is allocated for it.
const (
	// MaxMessage is the longest body in bytes of a frame other than DATA and
	// STDERR. It holds the longest command plus two keys.
	MaxMessage = 256 << 10

	// MaxData is the longest body in bytes of a DATA or STDERR frame. Errors
	// and aborts travel between frames, so this bounds how long they wait
	// behind object bytes: 16 MiB is 0.13 s at 1 Gbit/s.
	MaxData = 16 << 20

	// MaxPacked is how many plain bytes one lz4 DATA frame may hold.
	MaxPacked = 256 << 10

	// MaxKey is the longest key in bytes: bucket, slashes, path and name.
	MaxKey = 1024

	// MaxPath is the longest path in bytes of a key's file on a server's disk
	// (PATH_MAX).
	MaxPath = 4096

	// MaxCommand is the longest command in bytes. Linux hands a program no
	// single argument of 128 KiB or more (execve(2), MAX_ARG_STRLEN).
	MaxCommand = 128<<10 - 1

	// MaxName is the longest name in bytes of a file that goes along with a
	// job, as Linux limits one path segment (NAME_MAX).
	MaxName = 255

	// MaxOKExit is how many exit codes a job may list as no failure: all.
	MaxOKExit = 255

	// MaxRecord is the longest record in bytes of a task of a manifest.
	MaxRecord = 64 << 10

	// MaxSecrets is how many bytes the secret variables of a job have in all.
	MaxSecrets = 64 << 10

	// MaxRules is how many bytes the rules of a job have, and MaxIndirs how many
	// directories of input it has at most. With both, its longest command and an error,
	// a JOBINFO is a legal frame.
	MaxRules  = 16 << 10
	MaxIndirs = 32

	// MaxErrorText is the longest text, and the longest tail of standard error,
	// of an error. A JOBINFO with both and the longest command is a legal frame.
	MaxErrorText = 32 << 10
)
