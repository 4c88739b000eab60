package wire

import (
	"fmt"
	"hash/crc32"
	"io"

	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// SendError is a failure of the transport, as opposed to one of the sequence that was being sent.
type SendError struct{ Err error }

// Error returns the transport's message.
func (e *SendError) Error() string { return e.Err.Error() }

// Unwrap returns the transport's error.
func (e *SendError) Unwrap() error { return e.Err }

// SendBlocks sends a sequence and its end. The frames share the arrays' memory: send must not keep them. An error of send comes back as a [*SendError], one that the
// sequence yields as itself.
func SendBlocks(blocks tensor.Blocks, send func(*tensorv1.Frame) error) error {
	w := Sender{Send: send}
	for b, err := range blocks {
		if err != nil {
			return err
		}
		if err := w.Block(b); err != nil {
			return err
		}
	}
	return w.End()
}

// SendSet sends a set and its end.
func SendSet(s tensor.Set, send func(*tensorv1.Frame) error) error {
	w := Sender{Send: send}
	if err := w.set(nil, s); err != nil {
		return err
	}
	return w.End()
}

// Sender sends a sequence block by block.
type Sender struct {
	Send func(*tensorv1.Frame) error
	sent uint64
}

// Block sends one block.
func (w *Sender) Block(b tensor.Block) error {
	if err := b.Check(); err != nil {
		return err
	}
	if len(b.Trials) > MaxTrials {
		return component.Invalid("block.trials", "%d trials in a block: at most %d are allowed", len(b.Trials), MaxTrials)
	}
	return w.set(b.Trials, b.Arrays)
}

func (w *Sender) set(trials []int64, s tensor.Set) error {
	if err := s.Check(); err != nil {
		return err
	}
	if len(s) > MaxArrays {
		return component.Invalid("block.arrays", "%d arrays in a block: at most %d are allowed", len(s), MaxArrays)
	}
	f := &tensorv1.Frame{Start: &tensorv1.BlockStart{Trials: trials, Arrays: uint32(len(s))}}
	for _, t := range s {
		f.Header = header(t)
		raw := littleEndian(t)
		sum := crc32.Checksum(raw, castagnoli)
		for {
			n := min(len(raw), ChunkBytes)
			f.Data, raw = raw[:n], raw[n:]
			if len(raw) == 0 {
				f.Crc32C = &sum
			}
			if err := w.send(f); err != nil {
				return err
			}
			f = &tensorv1.Frame{}
			if len(raw) == 0 {
				break
			}
		}
	}
	w.sent++
	if len(s) == 0 {
		return w.send(f)
	}
	return nil
}

// End ends the sequence.
func (w *Sender) End() error {
	return w.send(&tensorv1.Frame{End: &tensorv1.BlocksEnd{Blocks: w.sent}})
}

func (w *Sender) send(f *tensorv1.Frame) error {
	if err := w.Send(f); err != nil {
		return &SendError{err}
	}
	return nil
}

// Assembler puts a sequence together from its frames. The zero value is ready. After an error it is of no more use.
type Assembler struct {
	block    tensor.Block
	open     bool // a block has begun
	left     int  // arrays still to come in it
	t        *tensor.Tensor
	elements int // of t, when all is there
	size     int // bytes of an element of t
	filled   int // bytes of t so far
	proven   int // bytes of the largest array that has arrived whole
	sum      uint32
	done     uint64
	ended    bool
}

// firstBytes is allocated for an array at once, or as much as an array of the sequence has had that arrived whole; more only when so much has arrived.
const firstBytes = 16 << 20

// Push takes the next frame. It returns a block when the frame completed one, and whether the sequence has ended.
func (a *Assembler) Push(f *tensorv1.Frame) (block *tensor.Block, ended bool, err error) {
	if f == nil {
		return nil, false, component.Invalid("frame", "a message without a frame")
	}
	if a.ended {
		return nil, true, component.Invalid("frame", "a frame after the end of the sequence")
	}
	if f.Start != nil {
		if a.open {
			return nil, false, component.Invalid("frame.start", "a block begins before the one before is complete")
		}
		if n := len(f.Start.GetTrials()); n > MaxTrials {
			return nil, false, component.Invalid("frame.start", "%d trials in a block: at most %d are allowed", n, MaxTrials)
		}
		if n := f.Start.GetArrays(); n > MaxArrays {
			return nil, false, component.Invalid("frame.start", "%d arrays in a block: at most %d are allowed", n, MaxArrays)
		}
		a.open, a.left = true, int(f.Start.GetArrays())
		a.block = tensor.Block{Trials: f.Start.GetTrials()}
	}
	if f.Header != nil {
		if err := a.begin(f.Header); err != nil {
			return nil, false, err
		}
	}
	if len(f.Data) > 0 {
		if err := a.data(f.Data); err != nil {
			return nil, false, err
		}
	}
	if f.Crc32C != nil {
		if err := a.finish(*f.Crc32C); err != nil {
			return nil, false, err
		}
	}
	if a.open && a.left == 0 && a.t == nil {
		if block, err = a.complete(); err != nil {
			return nil, false, err
		}
	}
	if f.End != nil {
		if a.open {
			return nil, false, fmt.Errorf("wire: %w: the sequence ends inside a block", component.ErrChecksum)
		}
		if f.End.GetBlocks() != a.done {
			return nil, false, fmt.Errorf("wire: %w: %d blocks arrived, %d were sent", component.ErrChecksum, a.done, f.End.GetBlocks())
		}
		a.ended = true
	}
	return block, a.ended, nil
}

func (a *Assembler) begin(h *tensorv1.Header) error {
	if !a.open || a.t != nil || a.left == 0 {
		return component.Invalid("frame.header", "%q: an array where none is expected", h.GetName())
	}
	t, d, n, err := fromHeader(h)
	if err != nil {
		return err
	}
	if len(a.block.Trials) > 0 && (len(t.Shape) == 0 || t.Shape[0] != len(a.block.Trials)) {
		return component.Invalid("frame.header.shape", "%q has shape %v in a block of %d trials", t.Name, t.Shape, len(a.block.Trials))
	}
	a.t, a.elements, a.size, a.filled, a.sum = t, n, d.Size(), 0, 0
	alloc(t, d, min(n, max(firstBytes, a.proven)/a.size))
	return nil
}

func (a *Assembler) data(p []byte) error {
	if a.t == nil {
		return component.Invalid("frame.data", "%d bytes where none are expected", len(p))
	}
	if len(p) > ChunkBytes {
		return component.Invalid("frame.data", "%q: %d bytes in a frame: at most %d are allowed", a.t.Name, len(p), ChunkBytes)
	}
	if a.filled+len(p) > a.elements*a.size {
		return component.Invalid("frame.data", "%q: more than the %d bytes of shape %v", a.t.Name, a.elements*a.size, a.t.Shape)
	}
	to := memory(a.t)
	if a.filled+len(p) > len(to) {
		grow(a.t, min(a.elements, 2*len(to)/a.size))
		to = memory(a.t)
	}
	a.filled += copy(to[a.filled:], p)
	a.sum = crc32.Update(a.sum, castagnoli, p)
	return nil
}

func (a *Assembler) finish(sum uint32) error {
	if a.t == nil {
		return component.Invalid("frame.crc32c", "a checksum where none is expected")
	}
	if a.filled != a.elements*a.size {
		return fmt.Errorf("wire: %q: %w: %d bytes of %d", a.t.Name, component.ErrChecksum, a.filled, a.elements*a.size)
	}
	if sum != a.sum {
		return fmt.Errorf("wire: %q: %w: %08x, sent as %08x", a.t.Name, component.ErrChecksum, a.sum, sum)
	}
	if !littleHost {
		reverseElements(memory(a.t), a.size)
	}
	a.proven = max(a.proven, a.filled)
	a.block.Arrays = append(a.block.Arrays, a.t)
	a.t = nil
	a.left--
	return nil
}

func (a *Assembler) complete() (*tensor.Block, error) {
	b := a.block
	a.block, a.open = tensor.Block{}, false
	a.done++
	if err := b.Arrays.Check(); err != nil {
		return nil, err
	}
	return &b, nil
}

// errTwice is for sequences that can be ranged over once.
var errTwice = fmt.Errorf("wire: this sequence of blocks can be ranged over once: %w", component.ErrUnsupported)

// Receive is the sequence that recv brings, frame by frame; recv is called from the goroutine that ranges. It can be ranged over once. The end of the stream
// (io.EOF) before the sequence's own end is ErrChecksum.
func Receive(recv func() (*tensorv1.Frame, error)) tensor.Blocks {
	used := false
	return func(yield func(tensor.Block, error) bool) {
		if used {
			yield(tensor.Block{}, errTwice)
			return
		}
		used = true
		var a Assembler
		for {
			b, ended, err := next(&a, recv)
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			if b != nil {
				if err := b.Check(); err != nil {
					yield(tensor.Block{}, err)
					return
				}
				if !yield(*b, nil) {
					return
				}
			}
			if ended {
				return
			}
		}
	}
}

// ReceiveSet reads one set.
func ReceiveSet(recv func() (*tensorv1.Frame, error)) (tensor.Set, error) {
	var a Assembler
	var out *tensor.Block
	for {
		b, ended, err := next(&a, recv)
		if err != nil {
			return nil, err
		}
		if b != nil {
			if out != nil || len(b.Trials) > 0 {
				return nil, component.Invalid("frame.start", "one set of arrays is needed, got blocks of trials")
			}
			out = b
		}
		if ended {
			if out == nil {
				return nil, component.Invalid("frame.end", "one set of arrays is needed, got none")
			}
			return out.Arrays, nil
		}
	}
}

func next(a *Assembler, recv func() (*tensorv1.Frame, error)) (*tensor.Block, bool, error) {
	for {
		f, err := recv()
		if err == io.EOF {
			return nil, false, fmt.Errorf("wire: %w: the stream stops before the end of the sequence", component.ErrChecksum)
		}
		if err != nil {
			return nil, false, err
		}
		b, ended, err := a.Push(f)
		if b != nil || ended || err != nil {
			return b, ended, err
		}
	}
}
