package pix

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestChecksumIsCRC16CCITTFalse(t *testing.T) {
	assert.Equal(t, "29B1", checksum("123456789"))
	assert.Equal(t, "FFFF", checksum(""))
	assert.Equal(t, "0053", checksum("\x06\xb1"), "leading zeros are kept")
}
