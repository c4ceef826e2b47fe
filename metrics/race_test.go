//go:build race

package metrics_test

func init() { raceDetector = true }
