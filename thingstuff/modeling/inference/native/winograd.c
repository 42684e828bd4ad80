/* winograd.h in fp32, with the points 0, +-1, +-2 and infinity. Plain C with the vector extension that GCC and Clang share:
 * the compiler chooses the instructions of its machine.
 */

#include <stddef.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define VECTORS 4
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define VECTORS 2
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define VECTORS 4
#else
#define VECTOR_BYTES 16
#define VECTORS 2
#endif

#define LANES (VECTOR_BYTES / 4)
#define COLUMNS (LANES * VECTORS) /* output channels of one panel of weights */
#define ROWS 6                    /* tiles that a step of the matrix product takes */
#define TILES 24                  /* tiles of a block, a multiple of ROWS */
#define LINE_BYTES 64             /* of the cache */

typedef float number;
typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
typedef int mask __attribute__((vector_size(VECTOR_BYTES)));
typedef float unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(4)));

static inline vector load(const float *from) { return *(const unaligned *)from; }
static inline void store(float *to, vector value) { *(unaligned *)to = value; }
static inline vector load_sums(const float *from) { return load(from); }
static inline vector positive(vector value) { return (vector)((mask)value & ~(value < 0)); } /* NaN stays */

static inline void transform_input_line(const vector d[6], vector out[6]) {
    vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
    out[0] = 4 * d[0] - 5 * d[2] + d[4];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = even2 + odd2;
    out[4] = even2 - odd2;
    out[5] = 4 * d[1] - 5 * d[3] + d[5];
}

static inline void transform_output_line(const vector m[6], vector out[4]) {
    vector sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    out[0] = m[0] + sum + sum2;
    out[1] = difference + 2 * difference2;
    out[2] = sum + 4 * sum2;
    out[3] = difference + 8 * difference2 + m[5];
}

/* ROWS x channels times channels x COLUMNS. Meanwhile `bytes` from `next` on, which are needed soon, are fetched. */
static inline void multiply(const float *restrict rows, const float *restrict panel, int channels, float *restrict to,
                            const char *next, size_t bytes) {
    vector sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sums[r][v] = (vector){0};
    for (int c = 0; c < channels; c++) {
        vector weights[VECTORS];
        if ((size_t)c * LINE_BYTES < bytes) __builtin_prefetch(next + (size_t)c * LINE_BYTES, 0, 2);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) weights[v] = load(panel + (size_t)c * COLUMNS + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            float value = rows[(size_t)r * channels + c];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sums[r][v] += value * weights[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) store(to + r * COLUMNS + v * LANES, sums[r][v]);
}

#include "winograd.h"
