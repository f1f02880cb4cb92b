package ca

import "time"

// NoExpiry is 99991231235959Z, the notAfter of certificates without a
// well-defined end (RFC 5280 §4.1.2.5): IDevIDs and their CA.
func NoExpiry() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// period cuts two times to whole seconds UTC and checks that X.509 can write
// them, in this order.
func period(subject string, from, to time.Time) (time.Time, time.Time, error) {
	from, to = from.UTC().Truncate(time.Second), to.UTC().Truncate(time.Second)
	if from.Year() < 1950 || to.Year() > 9999 || !to.After(from) {
		return from, to, fail(subject, ErrValidity, "from %s to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}

// within is period, narrowed to the validity of the authority's certificate:
// what is issued must not be believed after its issuer (RFC 5280 §6.1.3 checks
// both). outlive lifts that for the end. Nothing is issued that begins after
// the authority's end.
func (a *Authority) within(subject string, from, to time.Time, outlive bool) (time.Time, time.Time, error) {
	from, to, err := period(subject, from, to)
	if err != nil {
		return from, to, err
	}
	if from.Before(a.cert.NotBefore) {
		from = a.cert.NotBefore
	}
	if !from.Before(a.cert.NotAfter) {
		return from, to, &Error{Subject: subject, Kind: ErrValidity, Remedy: "renew the authority",
			Detail: "it would begin at " + from.Format(time.RFC3339) + ", and the authority's certificate ends at " + a.cert.NotAfter.Format(time.RFC3339)}
	}
	if !outlive && to.After(a.cert.NotAfter) {
		to = a.cert.NotAfter
	}
	return period(subject, from, to)
}
