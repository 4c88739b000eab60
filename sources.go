// Package ctdb holds the sources of the SDK and of the protocol's Go code, so that the program can unpack them for whoever writes a plugin: they match it, and need not be published.
package ctdb

import "embed"

// Sources has go.mod, go.sum, LICENSE, and the folders sdk and proto. It stands here because go:embed reaches downwards only. Of a folder it leaves out what begins with _,
// as modules of Python do.
//
//go:embed go.mod go.sum LICENSE sdk proto
//go:embed sdk/python/ctdb_sdk/*.py sdk/python/ctdb_sdk/*.binpb sdk/python/ctdb_sdk/py.typed
var Sources embed.FS
