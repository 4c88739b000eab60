//go:build !linux

package machine

// statfs knows nothing here.
func statfs(string) (FileSystem, error) { return FileSystem{}, nil }
