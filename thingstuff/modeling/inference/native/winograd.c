/* 3 x 3 convolutions of stride 1 and padding 1 by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, 2016), which needs a
 * quarter of the multiplications. Images, N x H x W x C, are cut into tiles of 4 x 4 outputs. A block of tiles goes
 * through all three steps (transform, 36 matrix products, transform back) before the next one begins, so that what
 * lies between them stays in the second-level cache.
 *
 * Plain C with the vector extension that GCC and Clang share: the compiler chooses the instructions of its machine.
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

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
typedef int mask __attribute__((vector_size(VECTOR_BYTES)));
typedef float unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(4)));

int winograd_lanes(void) { return LANES; }
int winograd_columns(void) { return COLUMNS; }
int winograd_tiles(void) { return TILES; }

/* floats of working memory that each thread needs */
size_t winograd_scratch(int in_channels) { return (size_t)36 * TILES * (in_channels + COLUMNS); }

static inline vector load(const float *from) { return *(const unaligned *)from; }
static inline void store(float *to, vector value) { *(unaligned *)to = value; }

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

/* the 6 x 6 pixels around a tile, those beyond the image as 0, to `to[36]` at a distance of `stride` floats */
static void transform_input(const float *image, int height, int width, int channels, int top, int left, float *to,
                            size_t stride) {
    for (int c = 0; c < channels; c += LANES) {
        vector lines[6][6];
        for (int x = 0; x < 6; x++) {
            vector column[6], out[6];
            int inside = left + x >= 0 && left + x < width;
            for (int y = 0; y < 6; y++) {
                int is_pixel = inside && top + y >= 0 && top + y < height;
                column[y] = is_pixel ? load(image + ((size_t)(top + y) * width + left + x) * channels + c) : (vector){0};
            }
            transform_input_line(column, out);
            for (int y = 0; y < 6; y++) lines[y][x] = out[y];
        }
        for (int y = 0; y < 6; y++) {
            vector out[6];
            transform_input_line(lines[y], out);
            for (int x = 0; x < 6; x++) store(to + (size_t)(6 * y + x) * stride + c, out[x]);
        }
    }
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

/* `from[36]` at a distance of `stride` floats to the 4 x 4 pixels of a tile, as far as they lie in the image */
static void transform_output(const float *from, size_t stride, const float *bias, const float *add, int relu,
                             float *image, int height, int width, int channels, int count, int top, int left) {
    int rows = height - top < 4 ? height - top : 4, columns = width - left < 4 ? width - left : 4;
    for (int c = 0; c < count; c += LANES) {
        vector lines[6][4], shift = load(bias + c);
        for (int y = 0; y < 6; y++) {
            vector line[6];
            for (int x = 0; x < 6; x++) line[x] = load(from + (size_t)(6 * y + x) * stride + c);
            transform_output_line(line, lines[y]);
        }
        for (int x = 0; x < columns; x++) {
            vector column[6], out[4];
            for (int y = 0; y < 6; y++) column[y] = lines[y][x];
            transform_output_line(column, out);
            for (int y = 0; y < rows; y++) {
                size_t place = ((size_t)(top + y) * width + left + x) * channels + c;
                vector value = out[y] + shift;
                if (add) value += load(add + place);
                if (relu) value = (vector)((mask)value & ~(value < 0)); /* NaN stays */
                store(image + place, value);
            }
        }
    }
}

typedef struct {
    int images, height, width, in_channels, out_channels, relu;
} shape;

static void place_of(const shape *s, int tile, int *image, int *top, int *left) {
    int across = (s->width + 3) / 4, down = (s->height + 3) / 4;
    *image = tile / (across * down);
    *top = tile / across % down * 4;
    *left = tile % across * 4;
}

/* Blocks of tiles `first` to `end` - 1. `panels`: for each COLUMNS output channels, 36 matrices in_channels x COLUMNS;
 * `bias` has a value for every output channel of the panels. `add`, in the shape of `y`, is added before the ReLU; it
 * may be null. `scratch` has winograd_scratch() floats. */
void winograd_blocks(const float *x, const float *panels, const float *bias, const float *add, float *y, const shape *s,
                     int first, int end, float *scratch) {
    int tiles = s->images * ((s->height + 3) / 4) * ((s->width + 3) / 4), ci = s->in_channels, co = s->out_channels;
    size_t in_stride = (size_t)TILES * ci, out_stride = (size_t)TILES * COLUMNS, panel_size = (size_t)ci * COLUMNS;
    size_t image_in = (size_t)s->height * s->width * ci, image_out = (size_t)s->height * s->width * co;
    float *transformed = scratch, *products = scratch + 36 * in_stride;
    for (int block = first; block < end; block++) {
        int start = block * TILES, count = tiles - start < TILES ? tiles - start : TILES, image, top, left;
        int groups = (count + ROWS - 1) / ROWS;
        for (int t = 0; t < count; t++) {
            place_of(s, start + t, &image, &top, &left);
            transform_input(x + image * image_in, s->height, s->width, ci, top - 1, left - 1,
                            transformed + (size_t)t * ci, in_stride);
        }
        for (int k = 0; count < groups * ROWS && k < 36; k++)
            memset(transformed + k * in_stride + (size_t)count * ci, 0, (size_t)(groups * ROWS - count) * ci * 4);
        for (int c = 0; c < co; c += COLUMNS) {
            size_t share = panel_size * 4 / groups; /* bytes of the next panel that a product fetches */
            for (int k = 0; k < 36; k++) {
                const float *panel = panels + ((size_t)c / COLUMNS * 36 + k) * panel_size;
                for (int g = 0; g < groups; g++)
                    multiply(transformed + k * in_stride + (size_t)g * ROWS * ci, panel, ci,
                             products + k * out_stride + (size_t)g * ROWS * COLUMNS,
                             (const char *)(panel + panel_size) + g * share, share);
            }
            int channels = co - c < COLUMNS ? co - c : COLUMNS;
            for (int t = 0; t < count; t++) {
                place_of(s, start + t, &image, &top, &left);
                size_t place = image * image_out + c;
                transform_output(products + (size_t)t * COLUMNS, out_stride, bias + c, add ? add + place : NULL,
                                 s->relu, y + place, s->height, s->width, co, channels, top, left);
            }
        }
    }
}
