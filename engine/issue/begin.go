package issue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// begin finds the run the settings belong to, or makes it. c.Header is complete
// afterwards: where the run exists, it is the stored one.
func begin(c *Config) (r *store.Run, existed bool, err error) {
	given := c.Header.CreatedOn != ""
	if !given {
		c.Header.CreatedOn = run.FormatTime(c.now())
	}
	c.Header.Version = run.HeaderVersion
	c.Header.Reproducible = c.Signer.Deterministic()
	if c.Header.Name == "" {
		r, err = unfinished(c, given)
	} else {
		r, err = named(c, given)
	}
	if r != nil || err != nil {
		return r, r != nil, err
	}
	if c.Header.Name == "" {
		var random [2]byte
		if c.Random == nil {
			rand.Read(random[:])
		} else if err := c.Random(random[:]); err != nil {
			return nil, false, err
		}
		c.Header.Name = run.NewName(c.now(), random)
	}
	r, err = create(c)
	return r, false, err
}

// create writes the header of a new run, durably, after everything that can be
// wrong with it was looked at.
func create(c *Config) (*store.Run, error) {
	compiler, err := run.NewCompiler(&c.Header)
	if err != nil {
		return nil, err
	}
	if err := manifest.CanSign(compiler.Algorithm()); err != nil {
		return nil, fmt.Errorf("%w: %w", run.ErrHeader, err)
	}
	created, err := c.Header.Created()
	if err != nil {
		return nil, err
	}
	if err := checkDefault(&c.Header, compiler); err != nil {
		return nil, err
	}
	header, err := c.Header.Marshal()
	if err != nil {
		return nil, err
	}
	return c.Store.CreateRun(store.RunSpec{Name: c.Header.Name, Created: created, Header: header})
}

// checkDefault compiles what a row without columns of its own gets, so that a
// setting that can never work fails before the run exists and not at row 1.
func checkDefault(h *run.Header, compiler *run.Compiler) error {
	if compiler.Pin("") == nil {
		return nil // every row names its pin
	}
	created, err := h.Created()
	if err != nil {
		return err
	}
	expires, err := run.ResolveExpiry(h.ExpiresOn, created)
	if err != nil {
		return fmt.Errorf("%w: %w", run.ErrVariant, err)
	}
	_, err = compiler.Compile(&run.Variant{ExpiresOn: expires, Issuer: h.Issuer, Include: h.IncludeIssuer && h.Issuer != nil})
	return err
}

// named returns the run of the header's name, nil if there is none. A run with
// other settings is a *SettingsError.
func named(c *Config, given bool) (*store.Run, error) {
	r, err := c.Store.Run(c.Header.Name)
	var missing *store.RunNotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stored, err := run.ParseHeader(r.Header())
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", r.Name(), err)
	}
	if d := stored.Differences(&c.Header, given); len(d) > 0 {
		return nil, &SettingsError{r.Name(), d}
	}
	c.Header = *stored
	return r, nil
}

// unfinished returns the newest unfinished run with the same settings, or nil.
func unfinished(c *Config, given bool) (*store.Run, error) {
	infos, err := c.Store.Runs()
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if info.State != store.Unfinished {
			continue
		}
		r, err := c.Store.Run(info.Name)
		if err != nil {
			return nil, err
		}
		stored, err := run.ParseHeader(r.Header())
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", info.Name, err)
		}
		if len(stored.Differences(&c.Header, given)) == 0 {
			c.Header = *stored
			return r, nil
		}
	}
	return nil, nil
}
