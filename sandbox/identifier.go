package sandbox

import (
	"math/rand/v2"
	"time"
)

const (
	digits       = "0123456789"
	lowerLetters = "abcdefghijklmnopqrstuvwxyz"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// ispb is the ISPB of the sandbox's bank, which is also the payers' bank.
const ispb = "99999999"

// brasilia is the time zone of the times in transactions.
var brasilia = time.FixedZone("", -3*60*60)

// unusedLocked returns an id from generate that no transaction has.
func (s *Sandbox) unusedLocked(generate func() string) string {
	for {
		id := generate()
		if s.cashIns[id] == nil && s.cashOuts[id] == nil {
			return id
		}
	}
}

func (s *Sandbox) newInternalCodeLocked() string {
	return s.unusedLocked(func() string { return randomText(7, upperLetters+digits) })
}

// newEndToEndIDLocked returns an id that begins with kind: E for a payment, D for its return.
func (s *Sandbox) newEndToEndIDLocked(kind string) string {
	minute := s.clock.now().UTC().Format("200601021504")
	return s.unusedLocked(func() string {
		return kind + ispb + minute + randomText(11, upperLetters+lowerLetters+digits)
	})
}

func randomText(length int, alphabet string) string {
	text := make([]byte, length)
	for i := range text {
		text[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(text)
}
