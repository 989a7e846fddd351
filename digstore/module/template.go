package module

import "github.com/dig-network/digstore/internal/wasm"

// The functions that a template imports and exports (FORMAT.md 6.4). The stub has
// these and no others.
var (
	hostImports = [...]struct {
		name string
		typ  byte
	}{
		{"host_get_public_key", typeI32},
		{"host_create_attestation", typeI32ToI32},
		{"host_establish_session", typeI32ToI32},
		{"host_verify_session", typeI32},
		{"jwks_fetch", typeI32I32ToI32},
		{"host_get_current_time", typeI64},
		{"host_random_bytes", typeI32ToI32},
		{"host_read_return_buffer", typeI32ToI32},
	}
	guestExports = [...]struct {
		name string
		typ  byte
	}{
		{"get_store_id", typeI64},
		{"get_current_roothash", typeI64},
		{"get_roothash_history", typeI64},
		{"get_public_key", typeI64},
		{"get_metadata", typeI64},
		{"get_authentication_info", typeI64},
		{"get_content", typeI32I32ToI64},
		{"get_proof", typeI32I32ToI64},
		{"alloc", typeI32ToI32},
		{"dealloc", typeI32I32ToNone},
		{"init", typeI32},
	}
)

// The function types of the stub, by their index in its type section.
const (
	typeI32 = iota
	typeI32ToI32
	typeI32I32ToI32
	typeI64
	typeI32I32ToI64
	typeI32I32ToNone
)

// Stub returns the default template: a WebAssembly module with the imports and
// exports of a guest, whose functions return 0. Its 566 bytes never change
// (FORMAT.md 6.4).
func Stub() []byte {
	const i32, i64 = 0x7f, 0x7e
	types := []byte{6,
		0x60, 0, 1, i32,
		0x60, 1, i32, 1, i32,
		0x60, 2, i32, i32, 1, i32,
		0x60, 0, 1, i64,
		0x60, 2, i32, i32, 1, i64,
		0x60, 2, i32, i32, 0,
	}
	imports := []byte{byte(len(hostImports))}
	for _, f := range hostImports {
		imports = appendName(imports, "dig_host")
		imports = appendName(imports, f.name)
		imports = append(imports, 0, f.typ) // a function of that type
	}
	functions := []byte{byte(len(guestExports))}
	exports := appendName([]byte{byte(len(guestExports) + 1)}, "memory")
	exports = append(exports, 2, 0) // memory 0
	code := []byte{byte(len(guestExports))}
	for i, f := range guestExports {
		functions = append(functions, f.typ)
		exports = appendName(exports, f.name)
		exports = append(exports, 0, byte(len(hostImports)+i)) // imported functions come first
		switch f.typ {
		case typeI32I32ToNone:
			code = append(code, 2, 0, 0x0b) // no locals, end
		case typeI64, typeI32I32ToI64:
			code = append(code, 4, 0, 0x42, 0, 0x0b) // i64.const 0
		default:
			code = append(code, 4, 0, 0x41, 0, 0x0b) // i32.const 0
		}
	}
	memory := []byte{1, 1, 1, 0x80, 0x30}                       // one, 1 to 6144 pages
	data := []byte{1, 0, 0x41, 0x80, 0x80, 0x04, 0x0b, 1, 0x00} // one zero byte at 65536

	b := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	for _, s := range []struct {
		id   byte
		body []byte
	}{{1, types}, {2, imports}, {3, functions}, {5, memory}, {7, exports}, {10, code}, {11, data}} {
		b = append(b, s.id)
		b = appendLEB(b, uint32(len(s.body)))
		b = append(b, s.body...)
	}
	return b
}

// templateImports returns what a template must import.
func templateImports() []wasm.Import {
	var list []wasm.Import
	for _, f := range hostImports {
		list = append(list, wasm.Import{Module: "dig_host", Name: f.name, Kind: wasm.Func})
	}
	return list
}

// templateExports returns what a template must export.
func templateExports() []wasm.Export {
	list := []wasm.Export{{Name: "memory", Kind: wasm.Memory}}
	for _, f := range guestExports {
		list = append(list, wasm.Export{Name: f.name, Kind: wasm.Func})
	}
	return list
}

func appendName(b []byte, name string) []byte {
	return append(appendLEB(b, uint32(len(name))), name...)
}

// appendLEB appends the shortest LEB128 form of v.
func appendLEB(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}
