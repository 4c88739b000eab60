package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/ctdb-host/ctdb/plugins/builtin"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

// builtinArgument is the one argument that this program starts itself with as a plugin of the built-in components.
const builtinArgument = "serve-builtin"

// servesBuiltin is that plugin's main, and reports whether it was wanted.
func servesBuiltin(args []string) bool {
	if !slices.Equal(args, []string{builtinArgument}) {
		return false
	}
	// Standard input is the terminal's and says nothing of the process that started this one; when that is gone there is another parent.
	go func(parent int) {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		os.Exit(1)
	}(os.Getppid())
	serve.Main(builtin.Plugin())
	return true
}

// places are those of Go's scheduler that a host gives a plugin which is to compute on so many threads: one more.
func places(threads int) int { return threads + 1 }

// startBuiltin starts that plugin for so many threads, and returns what ends it.
func startBuiltin(threads int) (*client.Plugin, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	folder, err := os.MkdirTemp("", "ctdb-speed-")
	if err != nil {
		return nil, nil, err
	}
	token := rand.Text()
	cmd := exec.Command(self, builtinArgument)
	cmd.Env = append(os.Environ(), client.TokenEnv+"="+token, plugin.EnvUnixSocketDir+"="+folder, "GOMAXPROCS="+strconv.Itoa(places(threads)))
	c := plugin.NewClient(&plugin.ClientConfig{HandshakeConfig: client.Handshake(), Plugins: client.PluginSet(), Cmd: cmd, AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions: client.DialOptions(), Logger: hclog.New(&hclog.LoggerOptions{Output: io.Discard})})
	end := func() {
		c.Kill()
		// It is in the folder for temporary files: nothing is lost if it stays.
		_ = os.RemoveAll(folder)
	}
	remote, err := client.Dispense(c, token)
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("a process of its own for the task: %w", err)
	}
	return remote, end, nil
}
