//go:build !amd64 || purego

package wide

type wideKeyPoint struct{}

func (*wideKeyPoint) set(*[65]byte) {}

// verifyWide is not reached: [Available] is false.
func verifyWide([]*Key, *Key, [][]byte, [][]byte, []bool) {}

func (*Key) forget() {}
