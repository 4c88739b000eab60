package recording

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// header is what a NumPy array says of itself (NEP 1: https://numpy.org/neps/nep-0001-npy-format.html).
type header struct {
	// kind is b, i, u, f, U or S, and size how many bytes an element has.
	kind    byte
	size    int
	order   binary.ByteOrder
	fortran bool
	shape   []int
}

var (
	descrForm   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([<>|=]?)([a-zA-Z])(\d*)['"]`)
	fortranForm = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeForm   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([\d,\sL]*)\)`)
)

// maxHeader is the longest header that is read, in bytes.
const maxHeader = 1 << 16

func readHeader(r io.Reader) (header, error) {
	var h header
	var begin [8]byte
	if _, err := io.ReadFull(r, begin[:]); err != nil || string(begin[:6]) != "\x93NUMPY" {
		return h, errors.New("not a NumPy array")
	}
	var length int
	switch begin[6] {
	case 1:
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return h, cutShort(err)
		}
		length = int(binary.LittleEndian.Uint16(n[:]))
	case 2, 3:
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return h, cutShort(err)
		}
		length = int(min(binary.LittleEndian.Uint32(n[:]), maxHeader+1))
	default:
		return h, fmt.Errorf("version %d of the NumPy format: 1, 2 or 3 is needed", begin[6])
	}
	if length > maxHeader {
		return h, fmt.Errorf("a header of more than %d bytes", maxHeader)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, cutShort(err)
	}
	descr, order, shape := descrForm.FindSubmatch(text), fortranForm.FindSubmatch(text), shapeForm.FindSubmatch(text)
	if descr == nil || order == nil || shape == nil {
		return h, errors.New("its elements have fields, or its header cannot be read: a plain array of numbers or names is needed")
	}
	h.order, h.fortran = binary.LittleEndian, string(order[1]) == "True"
	if string(descr[1]) == ">" {
		h.order = binary.BigEndian
	}
	h.kind = descr[2][0]
	if h.kind == 'O' {
		return h, errors.New("it holds Python objects, which are not read since that can run any code: save one array with the trials one below the other, and their lengths")
	}
	h.size, _ = strconv.Atoi(string(descr[3]))
	sizes := map[byte]string{'b': " 1 ", 'i': " 1 2 4 8 ", 'u': " 1 2 4 8 ", 'f': " 4 8 "}
	switch allowed, number := sizes[h.kind]; {
	case number && !strings.Contains(allowed, fmt.Sprintf(" %d ", h.size)), !number && h.kind != 'U' && h.kind != 'S':
		return h, fmt.Errorf("elements of type %s%s: whole numbers, float32 or float64 are needed", descr[2], descr[3])
	case h.size > 1<<12:
		return h, fmt.Errorf("names of %d characters: at most %d are allowed", h.size, 1<<12)
	}
	for part := range strings.SplitSeq(string(shape[1]), ",") {
		part = strings.TrimSuffix(strings.TrimSpace(part), "L")
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return h, fmt.Errorf("shape (%s) cannot be read", shape[1])
		}
		h.shape = append(h.shape, n)
	}
	return h, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut short")
	}
	return err
}

// len is the number of elements, if that many can be.
func (h header) len() (int, bool) {
	total := 1
	for _, n := range h.shape {
		if n > 0 && total > math.MaxInt32*8/n {
			return 0, false
		}
		total *= n
	}
	return total, true
}

// numbers calls put with each element and its place in C order.
func (h header) numbers(r io.Reader, put func(i int, v float64)) error {
	n, ok := h.len()
	if !ok || h.kind == 'U' || h.kind == 'S' {
		return fmt.Errorf("an array %v of type %c%d: numbers are needed", h.shape, h.kind, h.size)
	}
	place := h.placer()
	b := bufio.NewReaderSize(r, 1<<20)
	buf := make([]byte, h.size)
	for k := range n {
		if _, err := io.ReadFull(b, buf); err != nil {
			return cutShort(err)
		}
		put(place(k), h.number(buf))
	}
	return finished(b)
}

// finished reads to the end, where a zip archive's checksum is looked at.
func finished(r io.Reader) error {
	extra, err := io.Copy(io.Discard, r)
	if err == nil && extra > 0 {
		err = fmt.Errorf("%d bytes follow its elements", extra)
	}
	if errors.Is(err, zip.ErrChecksum) {
		err = errors.New("its checksum is wrong: the file is damaged")
	}
	return err
}

func (h header) number(b []byte) float64 {
	var u uint64
	switch h.size {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(h.order.Uint16(b))
	case 4:
		u = uint64(h.order.Uint32(b))
	default:
		u = h.order.Uint64(b)
	}
	switch {
	case h.kind == 'f' && h.size == 4:
		return float64(math.Float32frombits(uint32(u)))
	case h.kind == 'f':
		return math.Float64frombits(u)
	case h.kind == 'i':
		shift := 64 - 8*h.size
		return float64(int64(u<<shift) >> shift)
	}
	return float64(u)
}

// placer turns the number of an element in the file into its place in C order.
func (h header) placer() func(int) int {
	if !h.fortran || len(h.shape) < 2 {
		return func(k int) int { return k }
	}
	strides := make([]int, len(h.shape))
	s := 1
	for i := len(h.shape) - 1; i >= 0; i-- {
		strides[i] = s
		s *= h.shape[i]
	}
	return func(k int) int {
		at := 0
		for i, n := range h.shape {
			at += k % n * strides[i]
			k /= n
		}
		return at
	}
}

// texts are the elements of an array of names, or the numbers of one of whole numbers.
func (h header) texts(r io.Reader) ([]string, error) {
	n, ok := h.len()
	if !ok || n > 1<<20 {
		return nil, fmt.Errorf("an array %v: at most %d names are allowed", h.shape, 1<<20)
	}
	out := make([]string, n)
	if h.kind != 'U' && h.kind != 'S' {
		err := h.numbers(r, func(i int, v float64) { out[i] = strconv.FormatFloat(v, 'f', -1, 64) })
		return out, err
	}
	width := h.size
	if h.kind == 'U' {
		width *= 4
	}
	b := bufio.NewReader(r)
	buf := make([]byte, width)
	for k := range n {
		if _, err := io.ReadFull(b, buf); err != nil {
			return nil, cutShort(err)
		}
		out[k] = h.text(buf)
	}
	return out, finished(b)
}

// text is a name without the zeros that fill it up.
func (h header) text(b []byte) string {
	if h.kind == 'S' {
		s := strings.TrimRight(string(b), "\x00")
		return strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	var s strings.Builder
	for i := 0; i+4 <= len(b); i += 4 {
		if c := rune(h.order.Uint32(b[i:])); c != 0 {
			s.WriteRune(c)
		}
	}
	return s.String()
}
