// Package pix holds the values a PIX payment is made of: amounts, dates, tax
// documents, PIX keys, end-to-end ids and the text behind a QR code.
//
// A Parse function returns either a value that follows the rules of the
// arrangement or an error, so code that receives a [Key] or a [Document] does
// not have to check it again:
//
//	amount, err := pix.ParseAmount("10.50")
//	if err != nil {
//		return err
//	}
//	key, err := pix.ParseKey(pix.KeyTypeEmail, "maria@example.com")
//	if err != nil {
//		return err
//	}
//	log.Printf("paying %s to %s", amount, key) // paying 10.50 to m***@example.com
//
// What people type is read by [ParseBRL] and [KeyCandidates]. The errors about a
// key or a document have a [Reason], to tell people what to correct.
//
// Money is counted in whole centavos and never passes through a floating
// point number. Documents and keys are personal data: they print masked, and
// no error of this package repeats the text it refused. The full text comes
// only from their Text methods.
//
// The package does no input or output, keeps no mutable state, and depends on
// the standard library alone. All of its functions may be called from several
// goroutines at once.
package pix
