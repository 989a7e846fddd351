// search hashes nonces and reports the lowest one whose hash has enough leading zero bits.
//
// The message has three blocks (see package workhash). in holds, as 32-bit words: the state after the first block
// (8), the words of the second block (16; the first two are the nonce), the message schedule of the last block with
// the round constants added (64), and a mask of the first 64 bits of the hash that must be zero (2, high first).
//
// Thread t of T hashes the nonces base + t, base + t + T, and so on, count of them, until one fits. best must be
// all ones at first.
//
// search.ptx is made from this file: see mkptx.go.

typedef unsigned int u32;
typedef unsigned long long u64;

__device__ static __forceinline__ u32 rotr(u32 x, int n) { return (x >> n) | (x << (32 - n)); }

#define S0(x) (rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22))
#define S1(x) (rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25))
#define G0(x) (rotr(x, 7) ^ rotr(x, 18) ^ ((x) >> 3))
#define G1(x) (rotr(x, 17) ^ rotr(x, 19) ^ ((x) >> 10))
#define CH(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJ(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

__constant__ static const u32 K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define ROUND(wk) do { \
	u32 t1 = h + S1(e) + CH(e, f, g) + (wk); \
	u32 t2 = S0(a) + MAJ(a, b, c); \
	h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2; \
} while (0)

extern "C" __global__ void search(const u32 *in, u64 base, u32 count, u64 *best) {
	const u32 *mid = in, *second = in + 8, *last = in + 24;
	const u32 mask0 = in[88], mask1 = in[89];
	const u64 threads = (u64)gridDim.x * blockDim.x;
	u64 nonce = base + (u64)blockIdx.x * blockDim.x + threadIdx.x;
	for (u32 n = 0; n < count; n++, nonce += threads) {
		u32 w[16];
#pragma unroll
		for (int i = 2; i < 16; i++) w[i] = second[i];
		w[0] = (u32)(nonce >> 32);
		w[1] = (u32)nonce;
		u32 a = mid[0], b = mid[1], c = mid[2], d = mid[3], e = mid[4], f = mid[5], g = mid[6], h = mid[7];
#pragma unroll
		for (int i = 0; i < 64; i++) {
			if (i >= 16) w[i & 15] += G0(w[(i + 1) & 15]) + w[(i + 9) & 15] + G1(w[(i + 14) & 15]);
			ROUND(w[i & 15] + K[i]);
		}
		const u32 s0 = a + mid[0], s1 = b + mid[1];
		a = s0; b = s1; c += mid[2]; d += mid[3]; e += mid[4]; f += mid[5]; g += mid[6]; h += mid[7];
#pragma unroll
		for (int i = 0; i < 64; i++) ROUND(last[i]);
		if (((a + s0) & mask0) == 0 && ((b + s1) & mask1) == 0) {
			atomicMin(best, nonce);
			return; // the nonces that follow here are higher
		}
	}
}
