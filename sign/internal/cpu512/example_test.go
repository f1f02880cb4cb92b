package cpu512_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/sign/internal/cpu512"
)

// What the processor has is passed in; one thing that is missing decides.
func ExampleDecide() {
	choice := cpu512.Decide([]cpu512.Feature{{Name: "AVX512F", Has: true}, {Name: "AVX512IFMA", Has: false}})
	fmt.Println(choice.Use)
	// Output: false
}
