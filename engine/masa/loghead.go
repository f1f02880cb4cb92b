package masa

import (
	"context"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/state"
)

// LogHead returns the head of the audit log as it is on disk, and the signed note
// of it, which is what auditors keep.
func (s *Service) LogHead(ctx context.Context) (signed []byte, head audit.Head, err error) {
	err = s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		signed, head, err = s.cfg.Log.SignedHead(r)
		return err
	})
	return signed, head, err
}

// LogConsistency returns the proof, as a file holds it, that the log of newer
// events begins with that of older: nothing was changed or taken out in between.
// A newer of 0 stands for the log as it is. Sizes that the log never had are a
// *UsageError.
func (s *Service) LogConsistency(ctx context.Context, older, newer uint64) (proof []byte, err error) {
	err = s.cfg.DB.View(ctx, func(r state.Reader) error {
		head, err := audit.ReadHead(r)
		if err != nil {
			return err
		}
		if newer == 0 {
			newer = head.Size
		}
		if older > newer || newer > head.Size {
			return usage("no log of %d events became one of %d: the log has %d", older, newer, head.Size)
		}
		p, err := audit.NewConsistencyProof(r, older, newer)
		if err != nil {
			return err
		}
		proof, err = p.AppendJSON(nil)
		return err
	})
	return proof, err
}
