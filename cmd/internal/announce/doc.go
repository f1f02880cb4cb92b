// Package announce makes a registrar and its join proxies found by multicast
// DNS, as RFC 8995 §4.1.1 and appendix A.2 have it: pledges look for
// _brski-proxy._tcp.local, proxies for _brski-registrar._tcp.local.
//
//	err := announce.Run(ctx, announce.Config{
//		Services:  []announce.Service{{Type: announce.Registrar, Port: 8443}, {Type: announce.Proxy, Port: 8443}},
//		Instance:  "registrar-1",
//		Interface: "eth1",
//	})
//
// A registrar that pledges reach directly announces both.
//
// It answers questions, each to the one who asked, and sends nothing by itself:
// a pledge asks when it looks for a registrar. The addresses are those that the
// interface has at the time of the question.
//
// # Trust
//
// Whoever is on the link may ask, and may answer what they like: a pledge trusts
// nothing that it learns in this way but tries it (RFC 8995 §2.1). Within a second
// a few hundred questions are answered, however many come. An Announcement is safe
// for concurrent use.
package announce
