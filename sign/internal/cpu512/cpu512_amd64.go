//go:build amd64 && !purego

package cpu512

import "golang.org/x/sys/cpu"

// Features lists what the wide code needs of an amd64 processor. The library
// reports a 512-bit feature only if the operating system saves the registers.
// IFMA is needed by the arithmetic of P-256 alone.
func Features(ifma bool) []Feature {
	f := []Feature{
		{"AVX512F", cpu.X86.HasAVX512F},
		{"AVX512VL", cpu.X86.HasAVX512VL},
		{"AVX512DQ", cpu.X86.HasAVX512DQ},
		{"AVX512BW", cpu.X86.HasAVX512BW},
		{"BMI2", cpu.X86.HasBMI2},
	}
	if ifma {
		f = append(f, Feature{"AVX512IFMA", cpu.X86.HasAVX512IFMA})
	}
	return f
}
