//go:build linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// driver has the calls of the CUDA driver API that are used. A result of 0 is success.
type driver struct {
	lib uintptr

	cuInit                    func(flags uint32) int32
	cuDeviceGetCount          func(count *int32) int32
	cuDeviceGet               func(device *int32, ordinal int32) int32
	cuDeviceGetName           func(name *byte, length int32, device int32) int32
	cuDeviceGetAttribute      func(value *int32, attribute int32, device int32) int32
	cuDevicePrimaryCtxRetain  func(context *uintptr, device int32) int32
	cuDevicePrimaryCtxRelease func(device int32) int32
	cuCtxSetCurrent           func(context uintptr) int32
	cuCtxSynchronize          func() int32
	cuModuleLoadData          func(module *uintptr, image *byte) int32
	cuModuleUnload            func(module uintptr) int32
	cuModuleGetFunction       func(function *uintptr, module uintptr, name string) int32
	cuMemAlloc                func(pointer *uint64, size uintptr) int32
	cuMemFree                 func(pointer uint64) int32
	cuMemcpyHtoD              func(to uint64, from unsafe.Pointer, size uintptr) int32
	cuMemcpyDtoH              func(to unsafe.Pointer, from uint64, size uintptr) int32
	cuLaunchKernel            func(function uintptr, gridX, gridY, gridZ, blockX, blockY, blockZ,
		shared uint32,
		stream uintptr, params *unsafe.Pointer, extra uintptr) int32
}

const multiprocessors = 16 // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT

// device is a GPU with the kernel loaded.
type device struct {
	d        *driver
	number   int32
	title    string
	cores    int
	context  uintptr
	module   uintptr
	function uintptr
	in, best uint64 // memory of the device
}

// lockThread ties the goroutine to its thread, to which the driver ties what is current, until
// the result is called.
func lockThread() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

func unavailable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, fmt.Errorf(format, args...))
}

func open(library string, number int) (gpu, error) {
	defer lockThread()()
	d, err := load(library)
	if err != nil {
		return nil, err
	}
	g := &device{d: d, number: -1}
	if err := g.init(number); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// load opens the library and finds the calls in it.
func load(library string) (*driver, error) {
	lib, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, unavailable("open the driver: %w", err)
	}
	d := &driver{lib: lib}
	for name, fn := range map[string]any{
		"cuInit": &d.cuInit, "cuDeviceGetCount": &d.cuDeviceGetCount, "cuDeviceGet": &d.cuDeviceGet,
		"cuDeviceGetName": &d.cuDeviceGetName, "cuDeviceGetAttribute": &d.cuDeviceGetAttribute,
		"cuDevicePrimaryCtxRetain":     &d.cuDevicePrimaryCtxRetain,
		"cuDevicePrimaryCtxRelease_v2": &d.cuDevicePrimaryCtxRelease,
		"cuCtxSetCurrent":              &d.cuCtxSetCurrent, "cuCtxSynchronize": &d.cuCtxSynchronize,
		"cuModuleLoadData": &d.cuModuleLoadData, "cuModuleUnload": &d.cuModuleUnload,
		"cuModuleGetFunction": &d.cuModuleGetFunction,
		"cuMemAlloc_v2":       &d.cuMemAlloc, "cuMemFree_v2": &d.cuMemFree,
		"cuMemcpyHtoD_v2": &d.cuMemcpyHtoD, "cuMemcpyDtoH_v2": &d.cuMemcpyDtoH,
		"cuLaunchKernel": &d.cuLaunchKernel,
	} {
		symbol, err := purego.Dlsym(lib, name)
		if err != nil {
			return nil, errors.Join(unavailable("find %s in %s: %w", name, library, err),
				purego.Dlclose(lib))
		}
		purego.RegisterFunc(fn, symbol)
	}
	return d, nil
}

// failed returns the error of a call, nil when its result is success.
func failed(call string, result int32) error {
	if result == 0 {
		return nil
	}
	return fmt.Errorf("%s: CUDA error %d", call, result)
}

func (g *device) init(number int) error {
	if r := g.d.cuInit(0); r != 0 { // the library is there without a device, as in containers
		return unavailable("%w", failed("cuInit", r))
	}
	var count int32
	if r := g.d.cuDeviceGetCount(&count); r != 0 {
		return unavailable("%w", failed("cuDeviceGetCount", r))
	}
	if number < 0 || number >= int(count) {
		return unavailable("there are %d devices", count)
	}
	var dev int32
	if err := failed("cuDeviceGet", g.d.cuDeviceGet(&dev, int32(number))); err != nil {
		return err
	}
	title := make([]byte, 256)
	if err := failed("cuDeviceGetName", g.d.cuDeviceGetName(&title[0], int32(len(title)),
		dev)); err != nil {
		return err
	}
	for i, c := range title {
		if c == 0 {
			title = title[:i]
			break
		}
	}
	g.title = string(title)
	var cores int32
	if err := failed("cuDeviceGetAttribute", g.d.cuDeviceGetAttribute(&cores, multiprocessors,
		dev)); err != nil {
		return err
	}
	g.cores = int(min(max(cores, 1), 1<<10))
	if err := failed("cuDevicePrimaryCtxRetain", g.d.cuDevicePrimaryCtxRetain(&g.context,
		dev)); err != nil {
		return err
	}
	g.number = dev
	if err := failed("cuCtxSetCurrent", g.d.cuCtxSetCurrent(g.context)); err != nil {
		return err
	}
	image := append(append([]byte(nil), ptx...), 0)
	if err := failed("cuModuleLoadData", g.d.cuModuleLoadData(&g.module, &image[0])); err != nil {
		return err
	}
	if err := failed("cuModuleGetFunction", g.d.cuModuleGetFunction(&g.function, g.module,
		"search")); err != nil {
		return err
	}
	if err := failed("cuMemAlloc", g.d.cuMemAlloc(&g.in, 90*4)); err != nil {
		return err
	}
	return failed("cuMemAlloc", g.d.cuMemAlloc(&g.best, 8))
}

func (g *device) name() string { return g.title }
func (g *device) blocks() int  { return g.cores * perCore }

func (g *device) begin(in []uint32) error {
	if err := failed("cuCtxSetCurrent", g.d.cuCtxSetCurrent(g.context)); err != nil {
		return err
	}
	return failed("cuMemcpyHtoD", g.d.cuMemcpyHtoD(g.in, unsafe.Pointer(&in[0]),
		uintptr(4*len(in))))
}

// launchArgs are the arguments of the kernel, which the driver reads through pointers.
type launchArgs struct {
	in, base uint64
	count    uint32
	best     uint64
}

func (g *device) search(base uint64, blocks int, count uint32) (uint64, error) {
	result := new(uint64)
	*result = math.MaxUint64
	if err := failed("cuMemcpyHtoD", g.d.cuMemcpyHtoD(g.best, unsafe.Pointer(result),
		8)); err != nil {
		return 0, err
	}
	args := &launchArgs{in: g.in, base: base, count: count, best: g.best}
	params := &[4]unsafe.Pointer{
		unsafe.Pointer(&args.in), unsafe.Pointer(&args.base), unsafe.Pointer(&args.count),
		unsafe.Pointer(&args.best),
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(args)
	pin.Pin(params)
	r := g.d.cuLaunchKernel(g.function, uint32(blocks), 1, 1, blockSize, 1, 1, 0, 0, &params[0], 0)
	if err := failed("cuLaunchKernel", r); err != nil {
		return 0, err
	}
	if err := failed("cuCtxSynchronize", g.d.cuCtxSynchronize()); err != nil {
		return 0, err
	}
	if err := failed("cuMemcpyDtoH", g.d.cuMemcpyDtoH(unsafe.Pointer(result), g.best,
		8)); err != nil {
		return 0, err
	}
	return *result, nil
}

func (g *device) end() { g.d.cuCtxSetCurrent(0) }

// close releases what init has got. The library stays open: drivers do not like to be closed.
func (g *device) close() error {
	if g.number < 0 {
		return nil
	}
	defer lockThread()()
	err := failed("cuCtxSetCurrent", g.d.cuCtxSetCurrent(g.context))
	for _, p := range []uint64{g.in, g.best} {
		if p != 0 {
			err = errors.Join(err, failed("cuMemFree", g.d.cuMemFree(p)))
		}
	}
	if g.module != 0 {
		err = errors.Join(err, failed("cuModuleUnload", g.d.cuModuleUnload(g.module)))
	}
	g.d.cuCtxSetCurrent(0)
	return errors.Join(err, failed("cuDevicePrimaryCtxRelease",
		g.d.cuDevicePrimaryCtxRelease(g.number)))
}
