/* Products of bf16 numbers with sums in fp32, for processors that multiply pairs of them (AVX-512 BF16). */

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#if !defined(__AVX512BF16__) || !defined(__AVX512BW__)
#error "this compiler or processor has no AVX-512 BF16"
#endif

#define LANES 16
#define VECTORS 4
#define COLUMNS (LANES * VECTORS) /* output channels of one panel of weights */
#define ROWS 6                    /* rows that a step of the matrix product takes */
#define LINE_BYTES 64             /* of the cache */

typedef unsigned short bf16;
typedef __m512 tile[ROWS][VECTORS];

static inline __m512 load(const bf16 *from) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
    return (__m512)_mm512_slli_epi32(wide, 16);
}
static inline void store(bf16 *to, __m512 value) { _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(value)); }

/* of a NaN and 0 the second is taken: NaN stays */
static inline __m512 positive(__m512 value) { return _mm512_max_ps((__m512){0}, value); }

/* Adds ROWS x channels times channels x COLUMNS to `sums`; a panel has the weights of two channels beside each other.
 * Meanwhile `bytes` from `next` on, which are needed soon, are fetched. */
static inline __attribute__((always_inline)) void multiply_add(const bf16 *const rows[ROWS], const bf16 *restrict panel,
                                                               int channels, tile sums, const char *next,
                                                               size_t bytes) {
    for (int c = 0; c < channels; c += 2) {
        __m512bh weights[VECTORS];
        if ((size_t)c / 2 * LINE_BYTES < bytes) __builtin_prefetch(next + (size_t)c / 2 * LINE_BYTES, 0, 2);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            weights[v] = (__m512bh)_mm512_loadu_si512(panel + (size_t)c * COLUMNS + v * 2 * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            int pair;
            memcpy(&pair, rows[r] + c, sizeof pair);
            __m512bh value = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], value, weights[v]);
        }
    }
}

static inline __attribute__((always_inline)) void clear(tile sums) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sums[r][v] = (__m512){0};
}

/* sums from and to memory, rows at a distance of `stride` floats */
static inline __attribute__((always_inline)) void load_tile(tile sums, const float *from, size_t stride) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_loadu_ps(from + r * stride + v * LANES);
}
static inline __attribute__((always_inline)) void store_tile(float *to, size_t stride, tile sums) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) _mm512_storeu_ps(to + r * stride + v * LANES, sums[r][v]);
}
