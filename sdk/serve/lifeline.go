package serve

import (
	"io"
	"os"

	"github.com/ctdb-host/ctdb/sdk/client"
)

// holdOn ends this process and its process group at once when its host is gone, where the host has said how that is known. It must be called before anything else reads
// standard input.
func holdOn(stdin *os.File) {
	how := os.Getenv(client.LifelineEnv)
	// What this process starts has another standard input.
	_ = os.Unsetenv(client.LifelineEnv)
	if how != client.LifelineStdin {
		return
	}
	// The kernel kills without the help of a thread of this process, all of which may be busy in C. Where it cannot, a goroutine does.
	killAtEnd(stdin)
	go func() {
		// That it cannot be read any more means the same as its end.
		_, _ = io.Copy(io.Discard, stdin)
		endGroup()
	}()
}
