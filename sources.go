// Package ctdb holds the sources of the SDK and of the protocol's Go code, so that the program can unpack them for whoever writes a plugin: they match it, and need not be published.
package ctdb

import "embed"

// Sources has go.mod, go.sum, LICENSE, and the folders sdk and proto. It stands here because go:embed reaches downwards only.
//
//go:embed go.mod go.sum LICENSE sdk proto
var Sources embed.FS
