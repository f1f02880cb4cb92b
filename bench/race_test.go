//go:build race

package bench

// raceDetector tells that the detector's own allocations would be counted.
const raceDetector = true
