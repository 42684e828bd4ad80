/* The class with the highest score at each pixel of an image, from scores of a smaller map, H x W x C, of which each pixel
 * is a mixture: of TAPS rows, and in each of TAPS pixels. Scores in the size of the image are never kept.
 */

#include <stddef.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#define LANES (VECTOR_BYTES / 4)
#define TAPS 3

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
typedef float unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(4)));
typedef int mask __attribute__((vector_size(VECTOR_BYTES)));

int labels_taps(void) { return TAPS; }

/* floats of working memory that a thread needs: a row of the map, with channels in whole vectors */
size_t labels_scratch(int width, int channels) { return (size_t)width * ((channels + LANES - 1) / LANES * LANES); }

typedef struct {
    int map_width, channels, width;
    long row_stride; /* floats from a row of the map to the next */
} shape;

/* a row of the map as a mixture of rows; channels that do not exist never win */
static void mix_rows(const float *rows[TAPS], const float weights[TAPS], const shape *s, int padded, float *mixed) {
    for (int x = 0; x < s->map_width; x++) {
        size_t from = (size_t)x * s->channels;
        float *to = mixed + (size_t)x * padded;
        for (int c = 0; c < s->channels; c++)
            to[c] = weights[0] * rows[0][from + c] + weights[1] * rows[1][from + c] + weights[2] * rows[2][from + c];
        for (int c = s->channels; c < padded; c++) to[c] = -__builtin_inff();
    }
}

/* the first of the classes with the highest score, as a mixture of TAPS pixels; NaN is higher than any number */
static int best_of(const float *pixels[TAPS], const float weights[TAPS], int padded) {
    vector best = {0};
    mask block_of = {0};
    for (int c = 0; c < padded; c += LANES) {
        vector value = weights[0] * *(const unaligned *)(pixels[0] + c);
        if (weights[1] != 0) value += weights[1] * *(const unaligned *)(pixels[1] + c);
        if (weights[2] != 0) value += weights[2] * *(const unaligned *)(pixels[2] + c);
        mask better = c ? ~(value <= best) & (best == best) : ~(mask){0};
        best = (vector)(((mask)value & better) | ((mask)best & ~better));
        block_of = (better & c) | (block_of & ~better);
    }
    int winner = block_of[0];
    float highest = best[0];
    for (int lane = 1; lane < LANES; lane++) {
        int class = block_of[lane] + lane, is_number = best[lane] == best[lane];
        int beats = highest == highest ? !is_number || best[lane] > highest : 0;
        int ties = is_number ? best[lane] == highest : highest != highest;
        if (beats || (ties && class < winner)) highest = best[lane], winner = class;
    }
    return winner;
}

/* Rows `first` to `end` - 1 of the image. Each image row is mixed of TAPS map rows from `row[y]` on by `row_weights`, and
 * likewise each column; what has the weight 0 need not exist. */
void labels_rows(const float *map, const shape *s, const int *row, const float *row_weights, const int *column,
                 const float *column_weights, int first, int end, unsigned char *labels, float *scratch) {
    int padded = (s->channels + LANES - 1) / LANES * LANES;
    for (int y = first; y < end; y++) {
        const float *rows[TAPS], *weights = row_weights + (size_t)y * TAPS;
        for (int t = 0; t < TAPS; t++) rows[t] = map + (row[y] + (weights[t] != 0 ? t : 0)) * s->row_stride;
        mix_rows(rows, weights, s, padded, scratch);
        for (int x = 0; x < s->width; x++) {
            const float *pixels[TAPS];
            for (int t = 0; t < TAPS; t++) pixels[t] = scratch + (size_t)(column[x] + t) * padded;
            labels[(size_t)y * s->width + x] = (unsigned char)best_of(pixels, column_weights + (size_t)x * TAPS, padded);
        }
    }
}
