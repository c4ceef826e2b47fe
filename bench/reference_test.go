package bench

import (
	"runtime"
	"strconv"
)

// references gives a new reference for every payment, as cheaply as can be: a client remembers those that it has paid.
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

// parallelism is what testing.B.SetParallelism is to be given for so many goroutines, or the next more that it can make.
func parallelism(goroutines int) int {
	processors := runtime.GOMAXPROCS(0)
	return (goroutines + processors - 1) / processors
}
