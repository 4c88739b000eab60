package opened

import (
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

// asPlugin makes a test binary a plugin.
const asPlugin = "CTDB_TEST_AS_PLUGIN"

// Main runs the tests, or serves p in a process that [Elsewhere] started: func TestMain(m *testing.M) { opened.Main(m, p) }.
func Main(m *testing.M, p serve.Plugin) {
	if os.Getenv(asPlugin) != "" {
		serve.Main(p)
		return
	}
	os.Exit(m.Run())
}

// Elsewhere is the plugin of [Main] in another process, which ends with the test.
func Elsewhere(t testing.TB) *client.Plugin {
	t.Helper()
	const token = "a secret of this test"
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asPlugin+"=1", client.TokenEnv+"="+token, plugin.EnvUnixSocketDir+"="+t.TempDir())
	c := plugin.NewClient(&plugin.ClientConfig{HandshakeConfig: client.Handshake(), Plugins: client.PluginSet(), Cmd: cmd, AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions: client.DialOptions(), Logger: hclog.New(&hclog.LoggerOptions{Output: io.Discard})})
	t.Cleanup(c.Kill)
	protocol, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense(client.PluginName)
	if err != nil {
		t.Fatal(err)
	}
	return raw.(*client.Plugin).At("unix://"+c.ReattachConfig().Addr.(*net.UnixAddr).Name, token)
}
