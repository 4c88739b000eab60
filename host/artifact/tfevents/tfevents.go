// Package tfevents writes and reads the event files that TensorBoard shows, as far as they hold scalars.
//
// A file is a sequence of records: the length of the data (uint64, little-endian), the masked CRC-32C of these 8 bytes, the data, and the masked CRC-32C of the data.
// The data are protobuf messages of type tensorflow.Event, of which the first names the version of the format. Source:
// https://github.com/tensorflow/tensorboard/tree/2.21.0/tensorboard/compat/proto (event.proto, summary.proto) and
// https://www.tensorflow.org/tutorials/load_data/tfrecord (records).
//
// It is written here since no library for it is kept up in Go: github.com/helinwang/tfsum (its last version is of 2017) and its descendants take summaries that TensorFlow's C library has
// serialised, which a program would have to bring, and write the time. What is used of the format is a dozen lines on google.golang.org/protobuf's wire encoding; make interop has TensorBoard read it.
//
// No wall-clock time is written, so that the bytes depend on the scalars alone: TensorBoard's axes "step" and, of no use here, "relative" and "wall" show 0 for it.
package tfevents

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Infix is what the name of a file must contain for TensorBoard to take it for an event file.
const Infix = "tfevents"

// ErrFormat is wrapped by the error of a file that cannot be made out.
var ErrFormat = errors.New("tfevents: bad event file")

const (
	version   = "brain.Event:2"
	headBytes = 8 + 4
	// maxRecord bounds the data of a record that is read; a scalar takes some tens of bytes.
	maxRecord = 1 << 20
)

// The numbers of the fields that are used, of Event, Summary and Summary.Value.
const (
	eventStep, eventVersion, eventSummary = 2, 3, 5
	summaryValue                          = 1
	valueTag, valueSimple                 = 1, 2
)

// Scalar is a value of a curve. TensorBoard keeps values as float32.
type Scalar struct {
	Tag   string
	Step  int64
	Value float32
}

// Writer writes an event file. It is for one goroutine.
type Writer struct{ out io.Writer }

// NewWriter begins a file. Each record is handed to out with one call of Write.
func NewWriter(out io.Writer) (*Writer, error) {
	w := &Writer{out}
	return w, w.record(protowire.AppendString(protowire.AppendTag(nil, eventVersion, protowire.BytesType), version))
}

// Scalar adds a value; its tag is the name of its curve, and what stands before a slash groups curves.
func (w *Writer) Scalar(s Scalar) error {
	value := protowire.AppendString(protowire.AppendTag(nil, valueTag, protowire.BytesType), s.Tag)
	value = protowire.AppendFixed32(protowire.AppendTag(value, valueSimple, protowire.Fixed32Type), math.Float32bits(s.Value))
	summary := protowire.AppendBytes(protowire.AppendTag(nil, summaryValue, protowire.BytesType), value)
	event := protowire.AppendVarint(protowire.AppendTag(nil, eventStep, protowire.VarintType), uint64(s.Step))
	return w.record(protowire.AppendBytes(protowire.AppendTag(event, eventSummary, protowire.BytesType), summary))
}

func (w *Writer) record(data []byte) error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, headBytes+len(data)+4), uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, masked(data))
	if _, err := w.out.Write(b); err != nil {
		return fmt.Errorf("tfevents: %w", err)
	}
	return nil
}

// masked is the checksum of records: rotated and shifted, since the checksum of data that holds its own checksum is poor.
func masked(b []byte) uint32 {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// Read returns the scalars of a file in their order. Other events are passed over. What is damaged or cut off is an error that wraps [ErrFormat]; the scalars before
// it are returned too, which is what there is of a file that is being written.
func Read(in io.Reader) ([]Scalar, error) {
	r := bufio.NewReader(in)
	var out []Scalar
	for n := 0; ; n++ {
		data, err := readRecord(r)
		if err == io.EOF {
			if n == 0 {
				return nil, fmt.Errorf("%w: it is empty", ErrFormat)
			}
			return out, nil
		}
		if err == nil {
			out, err = appendScalars(out, data, n == 0)
		}
		if err != nil {
			return out, fmt.Errorf("%w: record %d: %w", ErrFormat, n, err)
		}
	}
}

// readRecord returns the data of the next record; io.EOF where there is none.
func readRecord(r io.Reader) ([]byte, error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint64(head[:])
	if got := binary.LittleEndian.Uint32(head[8:]); got != masked(head[:8]) {
		return nil, errors.New("the checksum of its length is wrong")
	}
	if size > maxRecord {
		return nil, fmt.Errorf("it has %d bytes: at most %d are allowed", size, maxRecord)
	}
	data := make([]byte, size+4)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	data, sum := data[:size], data[size:]
	if binary.LittleEndian.Uint32(sum) != masked(data) {
		return nil, errors.New("the checksum of its data is wrong")
	}
	return data, nil
}

// appendScalars adds those of an event. The first event must name the version.
func appendScalars(out []Scalar, event []byte, first bool) ([]Scalar, error) {
	step, found := int64(0), ""
	var summaries [][]byte
	err := fields(event, func(num protowire.Number, number uint64, b []byte) {
		switch {
		case num == eventStep:
			step = int64(number)
		case num == eventVersion:
			found = string(b)
		case num == eventSummary:
			summaries = append(summaries, b)
		}
	})
	if err != nil {
		return out, err
	}
	if first && found != version {
		return out, fmt.Errorf("the version is %.40q: %q is needed", found, version)
	}
	for _, summary := range summaries {
		var values [][]byte
		err := fields(summary, func(num protowire.Number, _ uint64, b []byte) {
			if num == summaryValue {
				values = append(values, b)
			}
		})
		for _, v := range values {
			s, scalar := Scalar{Step: step}, false
			err = errors.Join(err, fields(v, func(num protowire.Number, number uint64, b []byte) {
				switch num {
				case valueTag:
					s.Tag = string(b)
				case valueSimple:
					s.Value, scalar = math.Float32frombits(uint32(number)), true
				}
			}))
			if scalar {
				out = append(out, s)
			}
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// fields calls see with the fields of a message: with the number of those that are numbers, and the bytes of those that are bytes.
func fields(message []byte, see func(num protowire.Number, number uint64, b []byte)) error {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var number uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			number = uint64(v)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(num, typ, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		see(num, number, b)
		message = message[n:]
	}
	return nil
}
