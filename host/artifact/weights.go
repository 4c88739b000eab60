package artifact

import (
	"fmt"
	"os"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// WriteWeights writes a set as safetensors; see [tensor.WriteSafetensors].
func WriteWeights(path string, weights tensor.Set, metadata map[string]string) error {
	f, err := createPending(path)
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := tensor.WriteSafetensors(f, weights, metadata); err != nil {
		return fmt.Errorf("artifact: writing %s: %w", path, err)
	}
	return replace(f, path)
}

// ReadWeights reads a safetensors file; see [tensor.ReadSafetensors].
func ReadWeights(path string) (tensor.Set, map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("artifact: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("artifact: %w", err)
	}
	set, metadata, err := tensor.ReadSafetensors(f, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("artifact: %s: %w", path, err)
	}
	return set, metadata, nil
}
