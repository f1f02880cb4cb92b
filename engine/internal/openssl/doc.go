// Package openssl runs the command of that name in tests: a second opinion on
// certificates, lists and signed messages, by code that nobody here wrote. Where
// it is missing tests skip; with CI=true they fail.
package openssl
