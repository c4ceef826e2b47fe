package bench

import (
	"runtime"
	"strconv"
)

// references makes a new reference for each payment, because a client remembers the latest ones. It
// is as cheap as possible.
type references struct {
	goroutine int64
	number    int64
}

func (r *references) next() string {
	r.number++
	text := make([]byte, 0, 40)
	text = append(text, "withdrawal-"...)
	text = strconv.AppendInt(text, r.goroutine, 10)
	text = append(text, '-')
	return string(strconv.AppendInt(text, 100_000_000+r.number, 10))
}

// parallelism returns the argument of [testing.B.SetParallelism] for at least that many goroutines.
func parallelism(goroutines int) int {
	processors := runtime.GOMAXPROCS(0)
	return (goroutines + processors - 1) / processors
}
