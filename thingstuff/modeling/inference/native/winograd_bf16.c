/* winograd.h with images and products in bf16. Transforms are computed in fp32; what they give is rounded to bf16 for the
 * products.
 *
 * The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity, where winograd.c has 0, +-1, +-2 and infinity: rounding before
 * the products grows half as much in the answer, which bf16 needs and fp32 does not.
 */

#include "bf16.h"

#define TILES 36 /* tiles of a block, a multiple of ROWS */
#define ROOT 1.41421356237309504880f

typedef bf16 number;
typedef __m512 vector;

static inline vector load_sums(const float *from) { return _mm512_loadu_ps(from); }

static inline void transform_input_line(const vector d[6], vector out[6]) {
    vector even = d[4] - 2 * d[2], odd = ROOT / 2 * (d[3] - 2 * d[1]);
    vector even2 = d[4] - 0.5f * d[2], odd2 = ROOT * (d[3] - 0.5f * d[1]);
    out[0] = d[0] + d[4] - 2.5f * d[2];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = even2 + odd2;
    out[4] = even2 - odd2;
    out[5] = d[1] + d[5] - 2.5f * d[3];
}

static inline void transform_output_line(const vector m[6], vector out[4]) {
    vector sum = m[1] + m[2], difference = ROOT / 2 * (m[1] - m[2]);
    vector sum2 = m[3] + m[4], difference2 = ROOT * (m[3] - m[4]);
    out[0] = m[0] + sum + sum2;
    out[1] = difference + difference2;
    out[2] = 0.5f * sum + 2 * sum2;
    out[3] = 0.5f * difference + 2 * difference2 + m[5];
}

/* ROWS x channels times a panel of channels / 2 x COLUMNS x 2. `next` and `bytes` as multiply_add's. */
static inline void multiply(const bf16 *from, const bf16 *restrict panel, int channels, float *to, const char *next,
                            size_t bytes) {
    const bf16 *rows[ROWS];
    tile sums;
    for (int r = 0; r < ROWS; r++) rows[r] = from + (size_t)r * channels;
    clear(sums);
    multiply_add(rows, panel, channels, sums, next, bytes);
    store_tile(to, COLUMNS, sums);
}

#include "winograd.h"
