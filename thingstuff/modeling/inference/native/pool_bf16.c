/* RoIAlign of bf16 pixels N x H x W x C whose weights along y and along x are known: sums in fp32, rounded once. */

#include "bf16.h"

/* of each bin of each box: `count` pixels from `first` on, whose weights are the first ones of `most` */
typedef struct {
    const long long *first, *count;
    const float *weights;
    int bins, most;
} axis;

typedef struct {
    int height, width, channels;
} shape;

static inline __attribute__((always_inline)) void pool(const bf16 *image, const shape *s, const axis *y, const axis *x,
                                                       size_t row, size_t column, int vectors, bf16 *to) {
    __m512 sums[VECTORS];
    const float *along_y = y->weights + row * y->most, *along_x = x->weights + column * x->most;
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sums[v] = (__m512){0};
    for (long long i = 0; i < y->count[row]; i++) {
        const bf16 *line = image + ((size_t)(y->first[row] + i) * s->width + x->first[column]) * s->channels;
        for (long long j = 0; j < x->count[column]; j++)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                sums[v] += along_y[i] * along_x[j] * load(line + (size_t)j * s->channels + v * LANES);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) store(to + v * LANES, sums[v]);
}

/* Boxes `first` to `end` - 1: of which `images`, and to which `places` among the answers, box x bins y x bins x x C. */
void pool_boxes(const bf16 *maps, const long long *images, const long long *places, const axis *y, const axis *x,
                bf16 *answers, const shape *s, int first, int end) {
    for (int box = first; box < end; box++) {
        const bf16 *image = maps + (size_t)images[box] * s->height * s->width * s->channels;
        bf16 *to = answers + (size_t)places[box] * y->bins * x->bins * s->channels;
        for (int by = 0; by < y->bins; by++)
            for (int bx = 0; bx < x->bins; bx++, to += s->channels) {
                size_t row = (size_t)box * y->bins + by, column = (size_t)box * x->bins + bx;
                int c = 0;
                for (; c + COLUMNS <= s->channels; c += COLUMNS) pool(image + c, s, y, x, row, column, VECTORS, to + c);
                for (; c < s->channels; c += LANES) pool(image + c, s, y, x, row, column, 1, to + c);
            }
    }
}
