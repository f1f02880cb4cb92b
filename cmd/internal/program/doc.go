// Package program is what the command-line programs have in common: exit codes,
// how a program ends, and how it reads files that its user names.
//
// A program's main calls [Main] with its root command. Sub-commands return
// errors made by [Usagef] or passed through [IOError]; any other error is one of
// usage, since that is what the flag library returns.
package program
