// Package sim plays a manufacturer, its MASA, the registrars of several domains,
// their devices and attackers against each other in one process, with a clock, a
// network, randomness and crashes that all follow from one seed.
//
// New makes a World, Run lets it go until every device has settled, and
// Violations says what must never happen and did:
//
//   - a device is imprinted with a domain only if that domain's registrar was
//     the TLS server it spoke to, with a voucher that pins that domain; an
//     exclusive device only with its owner's
//   - no voucher leaves the MASA without its event in the durable audit log, and
//     no request has two
//   - no device gets a certificate without a voucher for its key from this
//     registrar, none after an operator refused it, none for another's name
//   - what attackers ask for is refused
//   - a certificate that was issued is on record, over every crash
//   - when the faults stop, every device that may join does
//
// One thing happens at a time: a call over the network is a function call, and
// the world waits until what a registrar does behind an answer has come to rest.
// So a seed plays the same story again. Only the octets of keys and signatures
// differ, which are made with the operating system's randomness; in a wild world
// the story depends on them.
package sim
