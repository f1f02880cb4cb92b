package pledge

import (
	"context"
	"encoding/binary"
	"io"
	"strconv"
	"time"
)

// A Clock is the time as the device has it. Where Config.ClockTrusted is not
// set, it only needs to go forwards at the right speed: what it says is then
// compared with itself and with nothing else.
type Clock interface {
	Now() time.Time
	// Sleep returns nil after d, and the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc calls f once after d, also if that is not positive, on a goroutine
	// of its own, unless stop is called before. It bounds the wait for an answer of
	// the Network. Where time stands still during that, as in a simulation in which
	// calls return at once, f is never called, and one thing happens at a time.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Timers and limits (RFC 8995 §4.1, §5.6, appendix A).
const (
	// NoProgress is how long a Network waits for the next octet of a connection
	// that is being set up, or of a body; and how long a registrar may be silent
	// where others wait to be asked and there are too many.
	NoProgress = 5 * time.Second
	// AnswerTimeout is how long a Network waits for the answer to a request: a
	// registrar may have to ask a MASA first. Others are asked meanwhile.
	AnswerTimeout = 45 * time.Second
	// RetryWait is the wait after a 202, if the registrar states none or a longer one.
	RetryWait = 60 * time.Second
	// MaxPending is how long a registrar may take to decide.
	MaxPending = 4 * 24 * time.Hour
	// MaxBackoff is the longest wait before a registrar, or the network, is
	// tried again.
	MaxBackoff = time.Hour
)

const (
	minBackoff = 5 * time.Second
	minSpacing = 3 * time.Second // of attempts at different registrars; up to maxSpacing
	maxSpacing = 5 * time.Second
	clockSkew  = 5 * time.Minute
)

// backoff is the wait after the nth failure in a row, 1 for the first.
func backoff(failures int) time.Duration {
	if failures > 20 {
		return MaxBackoff
	}
	return min(minBackoff<<(max(failures, 1)-1), MaxBackoff)
}

// spacing is a random wait between attempts at different registrars, so that
// devices powered up together do not stay in step.
func spacing(random io.Reader) (time.Duration, error) {
	var b [4]byte
	_, err := io.ReadFull(random, b[:])
	return minSpacing + (maxSpacing-minSpacing)*time.Duration(binary.BigEndian.Uint32(b[:]))>>32, err
}

// retryAfter reads a Retry-After field (RFC 9110 §10.2.3): from one second to
// RetryWait, which is also what an absent or unreadable one means. A date means
// something only to who knows the time.
func retryAfter(field string, now time.Time, trusted bool) time.Duration {
	wait := RetryWait
	if len(field) > 64 {
		return wait
	}
	if seconds, err := strconv.ParseUint(field, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if trusted {
		for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
			if at, err := time.Parse(layout, field); err == nil {
				wait = at.Sub(now)
				break
			}
		}
	}
	return min(max(wait, time.Second), RetryWait)
}
