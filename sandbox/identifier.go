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

// ispb names the sandbox's bank. It is also that of the payers.
const ispb = "99999999"

// brasilia is the offset of the times in transactions.
var brasilia = time.FixedZone("", -3*60*60)

// unused returns an id made by generate that is in neither index. The lock is held.
func (s *Sandbox) unused(generate func() string) string {
	for {
		id := generate()
		if s.cashIns[id] == nil && s.cashOuts[id] == nil {
			return id
		}
	}
}

func (s *Sandbox) newInternalCode() string {
	return s.unused(func() string { return randomText(7, upperLetters+digits) })
}

// newEndToEndID returns an id that begins with E for a payment and with D for its return.
func (s *Sandbox) newEndToEndID(kind string) string {
	minute := s.clock.now().UTC().Format("200601021504")
	return s.unused(func() string {
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
