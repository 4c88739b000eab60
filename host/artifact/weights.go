package artifact

import (
	"errors"
	"fmt"
	"io"
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

// convert is how a PyTorch checkpoint becomes a safetensors file, of a state dict as of a checkpoint that holds one.
const convert = `python -c "import sys,torch;from safetensors.torch import save_file as s;d=torch.load(sys.argv[1],weights_only=True);s(d.get('state_dict',d),sys.argv[2])" OLD NEW.safetensors`

// ReadWeights reads a safetensors file; see [tensor.ReadSafetensors]. A file that is none wraps tensor.ErrSafetensors; the error says what it is instead, and of a pickle how
// to convert it. Pickles are never read: reading one runs what is in it.
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
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("artifact: %s: %w: not a regular file", path, tensor.ErrSafetensors)
	}
	set, metadata, err := tensor.ReadSafetensors(f, info.Size())
	if errors.Is(err, tensor.ErrSafetensors) {
		head := make([]byte, 256)
		n, readErr := f.ReadAt(head, 0)
		switch kind := kindOf(head[:n]); {
		case readErr != nil && readErr != io.EOF:
		case kind == kindZip, kind == kindPickle:
			return nil, nil, fmt.Errorf("artifact: %s: %w: it looks like %s, which is not read since reading it runs what is in it: convert it with %s", path, tensor.ErrSafetensors, kind, convert)
		case kind != "":
			return nil, nil, fmt.Errorf("artifact: %s: %w: it looks like %s", path, tensor.ErrSafetensors, kind)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("artifact: %s: %w", path, err)
	}
	return set, metadata, nil
}
