package points_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/points"
)

func TestPointsAreReadAsTheyWereWritten(t *testing.T) {
	written := []points.Point{
		{Figure: "throughput", Series: "floor", X: 4096, Y: 51230},
		{Figure: "soak", Series: "memory, MiB", X: 0.1, Y: 17.25},
	}
	var file strings.Builder
	require.NoError(t, points.Write(&file, written))
	read, err := points.Read(strings.NewReader(file.String()))
	require.NoError(t, err)
	assert.Equal(t, written, read)
}

func TestALineThatIsNoPointIsAnError(t *testing.T) {
	for _, line := range []string{"throughput\tfloor\t1", "throughput\tfloor\tone\t2", "throughput\tfloor\t1\t"} {
		_, err := points.Read(strings.NewReader(line))
		assert.Error(t, err, line)
	}
}
