//go:build ignore

// Mkptx compiles search.cu to search.ptx with NVIDIA's run-time compiler, which needs no GPU:
//
//	pip download --no-deps nvidia-cuda-nvrtc-cu11==11.8.89 && unzip nvidia_cuda_nvrtc_cu11-*.whl
//	go run mkptx.go nvidia/cuda_nvrtc/lib/libnvrtc.so.11.2
//
// Version 11.8 is used because drivers read the PTX of compilers that are not newer than they are.
package main

import (
	"log"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

func main() {
	lib, err := purego.Dlopen(os.Args[1], purego.RTLD_NOW)
	if err != nil {
		log.Fatal(err)
	}
	var (
		create  func(prog *uintptr, src, name string, headers int32, texts, names uintptr) int32
		compile func(prog uintptr, n int32, options **byte) int32
		logSize func(prog uintptr, n *uint64) int32
		getLog  func(prog uintptr, b *byte) int32
		ptxSize func(prog uintptr, n *uint64) int32
		getPTX  func(prog uintptr, b *byte) int32
	)
	purego.RegisterLibFunc(&create, lib, "nvrtcCreateProgram")
	purego.RegisterLibFunc(&compile, lib, "nvrtcCompileProgram")
	purego.RegisterLibFunc(&logSize, lib, "nvrtcGetProgramLogSize")
	purego.RegisterLibFunc(&getLog, lib, "nvrtcGetProgramLog")
	purego.RegisterLibFunc(&ptxSize, lib, "nvrtcGetPTXSize")
	purego.RegisterLibFunc(&getPTX, lib, "nvrtcGetPTX")

	src, err := os.ReadFile("search.cu")
	if err != nil {
		log.Fatal(err)
	}
	var prog uintptr
	if r := create(&prog, string(src), "search.cu", 0, 0, 0); r != 0 {
		log.Fatalf("nvrtcCreateProgram: %d", r)
	}
	arch := []byte("--gpu-architecture=compute_52\x00")
	options := []*byte{unsafe.SliceData(arch)}
	var pin runtime.Pinner
	pin.Pin(options[0])
	r := compile(prog, 1, unsafe.SliceData(options))
	pin.Unpin()
	var n uint64
	if logSize(prog, &n); n > 1 {
		b := make([]byte, n)
		getLog(prog, unsafe.SliceData(b))
		log.Printf("%s", b)
	}
	if r != 0 {
		log.Fatalf("nvrtcCompileProgram: %d", r)
	}
	ptxSize(prog, &n)
	b := make([]byte, n)
	if r := getPTX(prog, unsafe.SliceData(b)); r != 0 {
		log.Fatalf("nvrtcGetPTX: %d", r)
	}
	if err := os.WriteFile("search.ptx", b[:n-1], 0o644); err != nil { // without the zero at its end
		log.Fatal(err)
	}
}
