package launch

// SocketFolders are the folders in which private folders for plugins' sockets are made, in order of preference: those of $XDG_RUNTIME_DIR, $TMPDIR and /tmp whose
// paths are short enough that a socket's fits the 108 bytes that the system allows. The first that can be written is taken.
func SocketFolders() []string { return bases() }

// MaxSocketFolder is how long, in bytes, the path of such a folder may be.
const MaxSocketFolder = maxSocketBase
