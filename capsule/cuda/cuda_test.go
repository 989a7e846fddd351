//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ebitengine/purego"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cuda"
	"github.com/dig-network/digstore/merkle"
)

// standIn compiles testdata/driver.cc, which runs the kernel's source on the CPU.
func standIn(t *testing.T) string {
	t.Helper()
	cxx, err := exec.LookPath("g++")
	if err != nil {
		t.Skip("the stand-in for the driver is compiled with g++, which is not here")
	}
	lib := filepath.Join(t.TempDir(), "libstandin.so")
	if out, err := exec.Command(cxx, "-O2", "-shared", "-fPIC", "-Wno-unknown-pragmas", "-o", lib,
		"testdata/driver.cc").CombinedOutput(); err != nil {
		t.Fatalf("compile the stand-in: %v\n%s", err, out)
	}
	return lib
}

func input(i int) capsule.WorkInput {
	h := func(s string) merkle.Hash { return merkle.Sum(fmt.Append(nil, s, i)) }
	return capsule.WorkInput{TableDataHash: h("table"), PreviousHash: h("previous"),
		PlotSeed: h("seed"), CapsuleHash: h("capsule")}
}

// agrees checks that w finds what the CPU finds.
func agrees(t *testing.T, w *cuda.Worker, bits ...int) {
	t.Helper()
	cpu := capsule.NewCPUWorker(0)
	for i := range 4 {
		for _, n := range bits {
			want, err := cpu.Search(t.Context(), input(i), n)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := w.Search(t.Context(), input(i), n); err != nil || got != want {
				t.Errorf("input %d, %d bits: nonce %d, %v, want %d", i, n, got, err, want)
			}
		}
	}
}

func cancels(t *testing.T, w *cuda.Worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for range 2 { // the second waits for its turn, or finds the context ended
		if nonce, err := w.Search(ctx, input(0), 200); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nonce %d, %v", nonce, err)
		}
	}
}

// The kernel's source and the calls of the driver, without a GPU.
func TestStandIn(t *testing.T) {
	lib := standIn(t)
	w, err := cuda.New(&cuda.Options{Library: lib, MinBits: 1})
	if err != nil {
		t.Fatal(err)
	}
	if w.Name() != "cuda: stand-in" {
		t.Errorf("name %q", w.Name())
	}
	agrees(t, w, 1, 5, 10, 14, 17)
	cancels(t, w)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	held(t, lib)
}

func held(t *testing.T, lib string) {
	t.Helper()
	h, err := purego.Dlopen(lib, purego.RTLD_NOW)
	if err != nil {
		t.Fatal(err)
	}
	var count func() int32
	purego.RegisterLibFunc(&count, h, "fakeHeld")
	if n := count(); n != 0 {
		t.Errorf("%d things were not released", n)
	}
}

// Every call that fails is an error, when the worker is made or when it searches, and what was
// got is released.
func TestFailingCalls(t *testing.T) {
	if os.Getenv("FAKE_CUDA_LIBRARY") != "" {
		testFailingCall(t)
		return
	}
	lib := standIn(t)
	for _, c := range []struct {
		variable string
		new      string // what New says
	}{
		{"FAKE_CUDA_DEVICES=0", "unavailable"}, {"FAKE_CUDA_DEVICES=1", "works"},
		{"FAKE_CUDA_FAIL=cuInit", "unavailable"}, {"FAKE_CUDA_FAIL=cuDeviceGetCount",
			"unavailable"}, {"FAKE_CUDA_FAIL=cuDeviceGet", "fails"},
		{"FAKE_CUDA_FAIL=cuDeviceGetName", "fails"}, {"FAKE_CUDA_FAIL=cuDeviceGetAttribute",
			"fails"},
		{"FAKE_CUDA_FAIL=cuDevicePrimaryCtxRetain", "fails"}, {"FAKE_CUDA_FAIL=cuCtxSetCurrent",
			"fails"},
		{"FAKE_CUDA_FAIL=cuModuleLoadData", "fails"}, {"FAKE_CUDA_FAIL=cuModuleGetFunction",
			"fails"}, {"FAKE_CUDA_FAIL=cuMemAlloc", "fails"},
		{"FAKE_CUDA_FAIL=cuMemcpyHtoD", "searches badly"}, {"FAKE_CUDA_FAIL=cuMemcpyDtoH",
			"searches badly"},
		{"FAKE_CUDA_FAIL=cuLaunchKernel", "searches badly"}, {"FAKE_CUDA_FAIL=cuCtxSynchronize",
			"searches badly"},
	} {
		// the library reads its own environment
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailingCalls$", "-test.count=1")
		cmd.Env = append(os.Environ(), "FAKE_CUDA_LIBRARY="+lib, "FAKE_CUDA_WANT="+c.new,
			c.variable)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.variable, err, out)
		}
	}
}

func testFailingCall(t *testing.T) {
	lib, want := os.Getenv("FAKE_CUDA_LIBRARY"), os.Getenv("FAKE_CUDA_WANT")
	w, err := cuda.New(&cuda.Options{Library: lib, MinBits: 1})
	got := "works"
	switch {
	case errors.Is(err, cuda.ErrUnavailable):
		got = "unavailable"
	case err != nil:
		got = "fails"
	default:
		if nonce, err := w.Search(t.Context(), input(0), 8); err != nil {
			got = "searches badly"
		} else if capsule.ZeroBits(input(0).Hash(nonce)) < 8 {
			t.Errorf("nonce %d", nonce)
		}
		w.Close()
	}
	if got != want {
		t.Errorf("%s, want %s: %v", got, want, err)
	}
	held(t, lib)
}

func TestUnavailable(t *testing.T) {
	if _, err := cuda.New(&cuda.Options{Library: "libthat-is-not-there.so"}); !errors.Is(err,
		cuda.ErrUnavailable) {
		t.Errorf("no library: %v", err)
	}
	lib := standIn(t)
	for _, number := range []int{-1, 1} {
		if _, err := cuda.New(&cuda.Options{Library: lib, Device: number}); !errors.Is(err,
			cuda.ErrUnavailable) {
			t.Errorf("device %d: %v", number, err)
		}
	}
}

// Short searches are not worth a launch.
func TestShortSearches(t *testing.T) {
	cpu := &countingWorker{Worker: capsule.NewCPUWorker(0)}
	w, err := cuda.New(&cuda.Options{Library: standIn(t), CPU: cpu})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	agrees(t, w, 10)
	if cpu.searches != 4 {
		t.Errorf("%d searches on the CPU, want 4", cpu.searches)
	}
}

type countingWorker struct {
	capsule.Worker
	searches int
}

func (w *countingWorker) Search(
	ctx context.Context, in capsule.WorkInput, bits int,
) (uint64, error) {
	w.searches++
	return w.Worker.Search(ctx, in, bits)
}

// A real GPU, when there is one.
func TestGPU(t *testing.T) {
	w, err := cuda.New(&cuda.Options{MinBits: 1})
	if errors.Is(err, cuda.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Log(w.Name())
	agrees(t, w, 1, 8, 16, 22)
	cancels(t, w)
	began := time.Now()
	nonce, err := w.Search(t.Context(), input(9), 32)
	took := time.Since(began)
	t.Logf("32 bits: nonce %d, %v, %.0f million hashes a second, %v", nonce, took,
		float64(nonce)/took.Seconds()/1e6, err)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
