// Package gcmsivoracle holds no code, only the tests and benchmarks that set
// internal/gcmsiv against the AES-GCM-SIV of tink-go, which was written by
// others and which the main module does not require.
//
//	go test -C internal/tools ./gcmsivoracle
//	go test -C internal/tools -tags purego -run '^$' -bench . ./gcmsivoracle
package gcmsivoracle
