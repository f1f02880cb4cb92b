// Package progress tells a person, or a program, how far a long job is.
//
// Start a Reporter, let the stages of the job add to its counters, and Stop
// it:
//
//	r, err := progress.Start(progress.Options{Job: "issue", Unit: "vouchers", Out: os.Stderr, Terminal: isTerminal, Total: n})
//	…
//	r.Issued.Add(256)  // signed
//	r.Durable.Add(256) // after fsync returned
//	…
//	err = r.Stop()
//
// What is issued and what is durable are counted apart, since only what is
// durable survives a crash.
//
// Mode Bar redraws one line on a terminal, Plain writes a line every few
// seconds, JSON writes an object per line for programs, None writes nothing.
// Auto is Bar on a terminal and Plain elsewhere.
//
// An object of mode JSON has the members below. Members may be added later,
// none will change its meaning.
//
//	job         string   what is running
//	unit        string   what is counted
//	elapsed_ms  integer  since the start
//	total       integer  how many there are in all; absent while not known
//	done        integer  so far, what was there before the start included
//	durable     integer  of these, how many are on disk for certain; only where vouchers are issued
//	rejected    integer  bad rows, which will not be issued
//	per_second  number   current rate of done; in the last object, the average
//	eta_ms      integer  time left at that rate; absent while not known
//	final       boolean  true in the last object only
package progress
