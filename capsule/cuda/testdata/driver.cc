// A stand-in for libcuda that runs search.cu on the CPU, so that the calls of the driver and the kernel's source are
// tested where there is no GPU. Environment: FAKE_CUDA_DEVICES is the number of devices (1), FAKE_CUDA_FAIL names a
// call that fails with error 999.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define __device__
#define __forceinline__ inline
#define __constant__
#define __global__

struct Dim { unsigned x; };
static thread_local Dim gridDim, blockDim, blockIdx, threadIdx;

static void atomicMin(unsigned long long *p, unsigned long long v) { if (v < *p) *p = v; }

#include "../search.cu"

static bool fails(const char *call) {
	const char *name = getenv("FAKE_CUDA_FAIL");
	return name && !strcmp(name, call);
}
#define CALL(name) if (fails(#name)) return 999

static thread_local uintptr_t current;
static int retained, allocated, loaded;

extern "C" {
int cuInit(unsigned) { CALL(cuInit); return 0; }
int cuDeviceGetCount(int *n) {
	CALL(cuDeviceGetCount);
	const char *devices = getenv("FAKE_CUDA_DEVICES");
	*n = devices ? atoi(devices) : 1;
	return 0;
}
int cuDeviceGet(int *dev, int i) { CALL(cuDeviceGet); *dev = i; return 0; }
int cuDeviceGetName(char *name, int n, int) { CALL(cuDeviceGetName); strncpy(name, "stand-in", n); return 0; }
int cuDeviceGetAttribute(int *v, int attribute, int) { CALL(cuDeviceGetAttribute); *v = attribute == 16 ? 2 : 0; return 0; }
int cuDevicePrimaryCtxRetain(uintptr_t *ctx, int) { CALL(cuDevicePrimaryCtxRetain); *ctx = 7; retained++; return 0; }
int cuDevicePrimaryCtxRelease_v2(int) { CALL(cuDevicePrimaryCtxRelease); retained--; return 0; }
int cuCtxSetCurrent(uintptr_t ctx) { CALL(cuCtxSetCurrent); current = ctx; return 0; }
int cuCtxSynchronize() { CALL(cuCtxSynchronize); return current == 7 ? 0 : 201; }
int cuModuleLoadData(uintptr_t *m, const char *image) {
	CALL(cuModuleLoadData);
	if (current != 7 || !strstr(image, ".visible .entry search(")) return 218;
	*m = 8;
	loaded++;
	return 0;
}
int cuModuleUnload(uintptr_t m) { loaded--; return m == 8 ? 0 : 400; }
int cuModuleGetFunction(uintptr_t *f, uintptr_t m, const char *name) {
	CALL(cuModuleGetFunction);
	if (m != 8 || strcmp(name, "search")) return 500;
	*f = 9;
	return 0;
}
int cuMemAlloc_v2(uint64_t *p, size_t n) {
	CALL(cuMemAlloc);
	if (current != 7) return 201;
	*p = (uint64_t)malloc(n);
	allocated++;
	return 0;
}
int cuMemFree_v2(uint64_t p) { free((void *)p); allocated--; return 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t n) {
	CALL(cuMemcpyHtoD);
	if (current != 7) return 201;
	memcpy((void *)to, from, n);
	return 0;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t n) {
	CALL(cuMemcpyDtoH);
	if (current != 7) return 201;
	memcpy(to, (void *)from, n);
	return 0;
}
int cuLaunchKernel(uintptr_t f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
	uintptr_t stream, void **params, void **extra) {
	CALL(cuLaunchKernel);
	if (f != 9 || current != 7 || gy != 1 || gz != 1 || by != 1 || bz != 1 || shared || stream || extra) return 1;
	gridDim.x = gx;
	blockDim.x = bx;
	for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++)
		for (threadIdx.x = 0; threadIdx.x < bx; threadIdx.x++)
			search(*(const u32 **)params[0], *(u64 *)params[1], *(u32 *)params[2], *(u64 **)params[3]);
	return 0;
}
// What is held and was not released.
int fakeHeld() { return retained + allocated + loaded; }
}
