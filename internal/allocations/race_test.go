//go:build race

package allocations

func init() { raceDetector = true }
