package conformance_test

import (
	"fmt"

	"github.com/connectpsp/connectpsp-go/sandbox/conformance"
)

// What a receiver is tested for.
func ExampleCases() {
	for _, property := range conformance.Cases()[:3] {
		fmt.Println(property.Name)
	}
	// Output:
	// an event is acknowledged and credited
	// an event that is repeated is credited once
	// an event that comes late is credited
}
