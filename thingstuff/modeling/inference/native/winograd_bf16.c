/* As winograd.c, with images and products in bf16 for processors that multiply pairs of bf16 numbers and add them up in
 * fp32 (AVX-512 BF16). Transforms are computed in fp32; what they give is rounded to bf16 for the products.
 *
 * The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity, where winograd.c has 0, +-1, +-2 and infinity: rounding before
 * the products grows half as much in the answer, which bf16 needs and fp32 does not.
 */

#include "bf16.h"

#define TILES 36 /* tiles of a block, a multiple of ROWS */
#define ROOT 1.41421356237309504880f

int winograd_lanes(void) { return LANES; }
int winograd_columns(void) { return COLUMNS; }
int winograd_tiles(void) { return TILES; }

/* floats of working memory that each thread needs */
size_t winograd_scratch(int in_channels) { return (size_t)36 * TILES * (in_channels / 2 + COLUMNS); }

static inline void transform_input_line(const __m512 d[6], __m512 out[6]) {
    __m512 even = d[4] - 2 * d[2], odd = ROOT / 2 * (d[3] - 2 * d[1]);
    __m512 even2 = d[4] - 0.5f * d[2], odd2 = ROOT * (d[3] - 0.5f * d[1]);
    out[0] = d[0] + d[4] - 2.5f * d[2];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = even2 + odd2;
    out[4] = even2 - odd2;
    out[5] = d[1] + d[5] - 2.5f * d[3];
}

static inline void transform_output_line(const __m512 m[6], __m512 out[4]) {
    __m512 sum = m[1] + m[2], difference = ROOT / 2 * (m[1] - m[2]);
    __m512 sum2 = m[3] + m[4], difference2 = ROOT * (m[3] - m[4]);
    out[0] = m[0] + sum + sum2;
    out[1] = difference + difference2;
    out[2] = 0.5f * sum + 2 * sum2;
    out[3] = 0.5f * difference + 2 * difference2 + m[5];
}

/* the 6 x 6 pixels around a tile, those beyond the image as 0, to `to[36]` at a distance of `stride` numbers */
static void transform_input(const bf16 *image, int height, int width, int channels, int top, int left, bf16 *to,
                            size_t stride) {
    for (int c = 0; c < channels; c += LANES) {
        __m512 lines[6][6];
        for (int x = 0; x < 6; x++) {
            __m512 column[6], out[6];
            int inside = left + x >= 0 && left + x < width;
            for (int y = 0; y < 6; y++) {
                int is_pixel = inside && top + y >= 0 && top + y < height;
                column[y] = is_pixel ? load(image + ((size_t)(top + y) * width + left + x) * channels + c) : (__m512){0};
            }
            transform_input_line(column, out);
            for (int y = 0; y < 6; y++) lines[y][x] = out[y];
        }
        for (int y = 0; y < 6; y++) {
            __m512 out[6];
            transform_input_line(lines[y], out);
            for (int x = 0; x < 6; x++) store(to + (size_t)(6 * y + x) * stride + c, out[x]);
        }
    }
}

/* `from[36]` at a distance of `stride` floats to the 4 x 4 pixels of a tile, as far as they lie in the image */
static void transform_output(const float *from, size_t stride, const float *bias, const bf16 *add, int relu,
                             bf16 *image, int height, int width, int channels, int count, int top, int left) {
    int rows = height - top < 4 ? height - top : 4, columns = width - left < 4 ? width - left : 4;
    for (int c = 0; c < count; c += LANES) {
        __m512 lines[6][4], shift = _mm512_loadu_ps(bias + c);
        for (int y = 0; y < 6; y++) {
            __m512 line[6];
            for (int x = 0; x < 6; x++) line[x] = _mm512_loadu_ps(from + (size_t)(6 * y + x) * stride + c);
            transform_output_line(line, lines[y]);
        }
        for (int x = 0; x < columns; x++) {
            __m512 column[6], out[4];
            for (int y = 0; y < 6; y++) column[y] = lines[y][x];
            transform_output_line(column, out);
            for (int y = 0; y < rows; y++) {
                size_t place = ((size_t)(top + y) * width + left + x) * channels + c;
                __m512 value = out[y] + shift;
                if (add) value += load(add + place);
                if (relu) value = positive(value);
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

/* As winograd.c's. `panels`: for each COLUMNS output channels, 36 matrices in_channels / 2 x COLUMNS x 2 in bf16. */
void winograd_blocks(const bf16 *x, const bf16 *panels, const float *bias, const bf16 *add, bf16 *y, const shape *s,
                     int first, int end, float *scratch) {
    int tiles = s->images * ((s->height + 3) / 4) * ((s->width + 3) / 4), ci = s->in_channels, co = s->out_channels;
    size_t in_stride = (size_t)TILES * ci, out_stride = (size_t)TILES * COLUMNS, panel_size = (size_t)ci * COLUMNS;
    size_t image_in = (size_t)s->height * s->width * ci, image_out = (size_t)s->height * s->width * co;
    float *products = scratch;
    bf16 *transformed = (bf16 *)(scratch + 36 * out_stride);
    for (int block = first; block < end; block++) {
        int start = block * TILES, count = tiles - start < TILES ? tiles - start : TILES, image, top, left;
        int groups = (count + ROWS - 1) / ROWS;
        for (int t = 0; t < count; t++) {
            place_of(s, start + t, &image, &top, &left);
            transform_input(x + image * image_in, s->height, s->width, ci, top - 1, left - 1,
                            transformed + (size_t)t * ci, in_stride);
        }
        for (int k = 0; count < groups * ROWS && k < 36; k++)
            memset(transformed + k * in_stride + (size_t)count * ci, 0, (size_t)(groups * ROWS - count) * ci * 2);
        for (int c = 0; c < co; c += COLUMNS) {
            size_t share = panel_size * 2 / groups; /* bytes of the next panel that a product fetches */
            for (int k = 0; k < 36; k++) {
                const bf16 *panel = panels + ((size_t)c / COLUMNS * 36 + k) * panel_size;
                for (int g = 0; g < groups; g++) {
                    const bf16 *from = transformed + k * in_stride + (size_t)g * ROWS * ci, *rows[ROWS];
                    tile sums;
                    for (int r = 0; r < ROWS; r++) rows[r] = from + (size_t)r * ci;
                    clear(sums);
                    multiply(rows, panel, ci, sums, (const char *)(panel + panel_size) + g * share, share);
                    store_tile(products + k * out_stride + (size_t)g * ROWS * COLUMNS, COLUMNS, sums);
                }
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
