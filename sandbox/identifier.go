package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
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

// chance makes ids. Each is derived from the key, a purpose and a number. The ids of a purpose are
// counted, so an access token more, for example, does not change the ids of transactions.
type chance struct{ key [sha256.Size]byte }

func (c chance) source(purpose string, number uint64) *rand.ChaCha8 {
	text := binary.BigEndian.AppendUint64(c.key[:], number)
	return rand.NewChaCha8(sha256.Sum256(append(text, purpose...)))
}

func (c chance) uuid(purpose string, number uint64) string {
	id, err := uuid.NewRandomFromReader(c.source(purpose, number))
	if err != nil {
		panic(fmt.Sprintf("sandbox: %v", err)) // a ChaCha8 never fails
	}
	return id.String()
}

func (c chance) text(purpose string, number uint64, length int, alphabet string) string {
	random := rand.New(c.source(purpose, number))
	text := make([]byte, length)
	for i := range text {
		text[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(text)
}

// The purposes of ids.
const (
	chargeIDs     = "transactionId of a charge"
	paymentIDs    = "transactionId of a payment"
	internalCodes = "internalCode"
	endToEndIDs   = "endToEndId"
	tokenIDs      = "jti"
	cryptoTokens  = "CryptoToken"
)

// drawLocked returns the number of the next id of a purpose.
func (s *Sandbox) drawLocked(purpose string) uint64 {
	s.drawn[purpose]++
	return s.drawn[purpose]
}

// unusedLocked returns an id from generate that no transaction has.
func (s *Sandbox) unusedLocked(purpose string, generate func(number uint64) string) string {
	for {
		id := generate(s.drawLocked(purpose))
		if s.cashIns[id] == nil && s.cashOuts[id] == nil {
			return id
		}
	}
}

func (s *Sandbox) newChargeIDLocked() string {
	return s.unusedLocked(chargeIDs, func(n uint64) string { return s.chance.text(chargeIDs, n, 35, lowerLetters+digits) })
}

func (s *Sandbox) newPaymentIDLocked() string {
	return s.unusedLocked(paymentIDs, func(n uint64) string { return s.chance.uuid(paymentIDs, n) })
}

func (s *Sandbox) newInternalCodeLocked() string {
	return s.unusedLocked(internalCodes, func(n uint64) string { return s.chance.text(internalCodes, n, 7, upperLetters+digits) })
}

// newEndToEndIDLocked returns an id that begins with kind: E for a payment, D for its return.
func (s *Sandbox) newEndToEndIDLocked(kind string) string {
	minute := s.clock.now().UTC().Format("200601021504")
	return s.unusedLocked(endToEndIDs, func(n uint64) string {
		return kind + ispb + minute + s.chance.text(endToEndIDs, n, 11, upperLetters+lowerLetters+digits)
	})
}
