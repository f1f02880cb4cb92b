// Package config reads the one YAML file that a program is configured by.
//
// A program binds keys to the fields of a struct that holds the defaults, and
// loads a file over them:
//
//	c := settings{Admit: "list"}
//	t := config.NewTable("registrar",
//		config.Of(&c.Admit, config.Key{Name: "admit", Values: "list, ask or manufacturer", Meaning: "which devices are admitted"}, config.OneOf("list", "ask", "manufacturer")),
//		config.Path(&c.State, config.Key{Name: "state", Values: "DIR", Default: "state beside this file", Meaning: "where the state is kept"}),
//	)
//	err := t.Load("registrar.yaml")
//
// Unknown keys are refused with the nearest known one, as are keys that come
// twice and values of the wrong kind, all with their line. Relative paths count
// from the file's directory. [Table.Print] writes all keys with their meaning
// and current values, as a file that Load reads: init writes its file by it, and
// --print-config shows it.
//
// A Table is for one goroutine while it loads, and only read afterwards.
package config
