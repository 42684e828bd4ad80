/* Matrix products in bf16, sums in fp32, with what follows them in one go: 1 x 1 convolutions and linear layers.
 *
 * A block of rows goes through all weights before the next one begins. Of many input channels a part at a time is
 * multiplied, so that the rows' share and a panel's stay in the second-level cache; the sums wait in `scratch`.
 */

#include "bf16.h"

#define BLOCK 120  /* rows, a multiple of ROWS */
#define DEPTH 1024 /* input channels of a part */

int product_columns(void) { return COLUMNS; }
int product_rows(void) { return BLOCK; }
int product_step(void) { return ROWS; }

static int padded(int channels) { return (channels + COLUMNS - 1) / COLUMNS * COLUMNS; }

/* floats of working memory that each thread needs */
size_t product_scratch(int in_channels, int out_channels) {
    return in_channels > DEPTH ? (size_t)BLOCK * padded(out_channels) : 0;
}

/* `step`: the stride. `coarse`: `add` has a pixel for 2 x 2 of the answer's. */
typedef struct {
    int images, height, width, in_channels, out_channels, relu, step_y, step_x, coarse;
} shape;

typedef struct {
    const bf16 *from[BLOCK];
    size_t to[BLOCK], add[BLOCK];
} places;

/* where the pixels of a block lie; `count` to BLOCK - 1 repeat the last one and are computed in vain */
static void find(places *p, const bf16 *x, const shape *s, int start, int count) {
    int height = (s->height - 1) / s->step_y + 1, width = (s->width - 1) / s->step_x + 1;
    for (int i = 0; i < BLOCK; i++) {
        int row = start + (i < count ? i : count - 1), image = row / (height * width);
        int py = row / width % height, px = row % width;
        size_t pixel = ((size_t)image * s->height + (size_t)py * s->step_y) * s->width + (size_t)px * s->step_x;
        size_t under = ((size_t)image * (height / 2) + py / 2) * (width / 2) + px / 2;
        p->from[i] = x + pixel * s->in_channels;
        p->to[i] = (size_t)row * s->out_channels;
        p->add[i] = (s->coarse ? under : (size_t)row) * s->out_channels;
    }
}

static inline __attribute__((always_inline)) void finish_part(tile sums, const places *p, int first, int rows,
                                                              const float *bias, const bf16 *add, int relu, bf16 *y,
                                                              int columns) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            if (r >= rows || v * LANES >= columns) continue;
            __m512 value = sums[r][v] + _mm512_loadu_ps(bias + v * LANES);
            if (add) value += load(add + p->add[first + r] + v * LANES);
            if (relu) value = positive(value);
            store(y + p->to[first + r] + v * LANES, value);
        }
}

/* almost all tiles are whole, for which the compiler leaves out every question */
static inline __attribute__((always_inline)) void finish(tile sums, const places *p, int first, int rows,
                                                         const float *bias, const bf16 *add, int relu, bf16 *y,
                                                         int columns) {
    if (rows < ROWS || columns < COLUMNS)
        finish_part(sums, p, first, rows, bias, add, relu, y, columns);
    else if (add)
        finish_part(sums, p, first, ROWS, bias, add, relu, y, COLUMNS);
    else
        finish_part(sums, p, first, ROWS, bias, NULL, relu, y, COLUMNS);
}

/* Blocks of rows `first` to `end` - 1. `panels`: for each COLUMNS output channels a matrix in_channels / 2 x COLUMNS x 2;
 * `bias` has a value for every output channel of the panels. `add` has the answer's channels and may be null. */
void product_blocks(const bf16 *x, const bf16 *panels, const float *bias, const bf16 *add, bf16 *y, const shape *s,
                    int first, int end, float *scratch) {
    int ci = s->in_channels, co = s->out_channels, stride = padded(co);
    int total = s->images * ((s->height - 1) / s->step_y + 1) * ((s->width - 1) / s->step_x + 1);
    for (int block = first; block < end; block++) {
        int start = block * BLOCK, count = total - start < BLOCK ? total - start : BLOCK;
        int groups = (count + ROWS - 1) / ROWS;
        places p;
        find(&p, x, s, start, count);
        for (int depth = 0; depth < ci; depth += DEPTH) {
            int channels = ci - depth < DEPTH ? ci - depth : DEPTH;
            size_t share = (size_t)channels * COLUMNS * 2 / groups; /* bytes of the next panel that a step fetches */
            for (int c = 0; c < co; c += COLUMNS) {
                const bf16 *panel = panels + (size_t)c * ci + (size_t)depth * COLUMNS;
                const char *next = (const char *)(panel + (size_t)ci * COLUMNS);
                for (int g = 0; g < groups; g++) {
                    int row = g * ROWS;
                    const bf16 *rows[ROWS];
                    tile sums;
                    for (int r = 0; r < ROWS; r++) rows[r] = p.from[row + r] + depth;
                    float *kept = scratch + (size_t)row * stride + c;
                    if (depth)
                        load_tile(sums, kept, stride);
                    else
                        clear(sums);
                    multiply_add(rows, panel, channels, sums, next + g * share, share);
                    if (depth + channels < ci)
                        store_tile(kept, stride, sums);
                    else
                        finish(sums, &p, row, count - row, bias + c, add ? add + c : NULL, s->relu, y + c, co - c);
                }
            }
        }
    }
}

/* Instead of each row's answer, relu(row times weights + bias), its products with another vector, `each` channels at a
 * time: `y` is rows x out_channels / each. `per_vector` rows in turn share one of `vectors`; `each` is a multiple of
 * COLUMNS. */
void product_dots(const bf16 *x, const bf16 *panels, const float *bias, const float *vectors, float *y, int rows,
                  int ci, int co, int each, int per_vector, int relu, int first, int end) {
    int parts = co / each;
    for (int group = first; group < end; group++) {
        int row = group * ROWS, count = rows - row < ROWS ? rows - row : ROWS;
        const bf16 *from[ROWS];
        const float *vector[ROWS];
        __m512 dots[ROWS];
        for (int r = 0; r < ROWS; r++) {
            int own = row + (r < count ? r : count - 1);
            from[r] = x + (size_t)own * ci;
            vector[r] = vectors + (size_t)(own / per_vector) * each;
            dots[r] = (__m512){0};
        }
        for (int c = 0; c < co; c += COLUMNS) {
            tile sums;
            clear(sums);
            multiply_add(from, panels + (size_t)c * ci, ci, sums, NULL, 0);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
                for (int v = 0; v < VECTORS; v++) {
                    __m512 value = sums[r][v] + _mm512_loadu_ps(bias + c + v * LANES);
                    if (relu) value = positive(value);
                    dots[r] += value * _mm512_loadu_ps(vector[r] + c % each + v * LANES);
                }
            if ((c + COLUMNS) % each) continue;
            for (int r = 0; r < ROWS; r++) {
                if (r < count) y[(size_t)(row + r) * parts + c / each] = _mm512_reduce_add_ps(dots[r]);
                dots[r] = (__m512){0};
            }
        }
    }
}
