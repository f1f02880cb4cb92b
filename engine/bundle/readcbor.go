package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/vouchmill/vouchmill/codec"
)

// cborSource reads one map an item. It reads through heads of its own: a
// general decoder would gather whatever length an item claims.
type cborSource struct {
	r    *Reader
	in   *bufio.Reader
	item uint64
	buf  []byte // the values of the entry last read
}

func (s *cborSource) next(e *Entry) error {
	if _, err := s.in.Peek(1); err != nil {
		return err // io.EOF between items is the end
	}
	s.item++
	place := fmt.Sprintf("item %d", s.item)
	if err := s.parse(e); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file ends within the item")
		}
		return &Error{Name: s.r.name, Place: place, Kind: kindOr(err, ErrSyntax), Err: err,
			Remedy: "check that the file is whole and of the form this program writes"}
	}
	e.Place = place
	return e.checkRead(s.r, place)
}

func (s *cborSource) parse(e *Entry) error {
	major, pairs, err := s.head()
	if err != nil {
		return err
	}
	if major != cborMap || pairs < 3 || pairs > 4 {
		return errors.New("it is not a map of three or four members")
	}
	s.buf = s.buf[:0]
	values := map[string]span{}
	for range pairs {
		name, err := s.text(cborText, maxTextBytes)
		if err != nil {
			return err
		}
		member := string(s.buf[name.begin:name.end])
		want, limit := byte(cborText), maxTextBytes
		switch member {
		case memberIssuer:
			want = cborBytes
		case memberVoucher:
			want, limit = cborBytes, s.r.opts.MaxVoucherBytes
		case memberSerial, memberFormat:
		default:
			return fmt.Errorf("member %.40q is not known", member)
		}
		if _, twice := values[member]; twice {
			return fmt.Errorf("member %q comes twice", member)
		}
		if values[member], err = s.text(want, limit); err != nil {
			return fmt.Errorf("member %q: %w", member, err)
		}
	}
	value := func(name string) []byte {
		v, ok := values[name]
		if !ok {
			return nil
		}
		return s.buf[v.begin:v.end:v.end]
	}
	e.Serial, e.Issuer, e.Voucher = value(memberSerial), value(memberIssuer), value(memberVoucher)
	e.Format, err = codec.ParseFormat(string(value(memberFormat)))
	return err
}

// head reads the head of a data item of definite length.
func (s *cborSource) head() (major byte, arg uint64, err error) {
	first, err := s.in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	major, arg = first>>5, uint64(first&31)
	if arg < 24 {
		return major, arg, nil
	}
	if arg > 27 {
		return 0, 0, fmt.Errorf("octet %#02x begins no item of definite length", first)
	}
	n := 1 << (arg - 24)
	arg = 0
	for range n {
		c, err := s.in.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		arg = arg<<8 | uint64(c)
	}
	return major, arg, nil
}

// text reads a string of the major type given into the buffer.
func (s *cborSource) text(want byte, limit int) (span, error) {
	major, size, err := s.head()
	if err != nil {
		return span{}, err
	}
	if major != want {
		return span{}, fmt.Errorf("a value of major type %d where %d belongs", major, want)
	}
	if size > uint64(limit) {
		return span{}, fmt.Errorf("%w: %d octets, the limit is %d", ErrTooLarge, size, limit)
	}
	begin := len(s.buf)
	s.buf = append(s.buf, make([]byte, size)...)
	_, err = io.ReadFull(s.in, s.buf[begin:])
	return span{begin, len(s.buf)}, err
}
