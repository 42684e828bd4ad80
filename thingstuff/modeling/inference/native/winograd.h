/* 3 x 3 convolutions of stride 1 and padding 1 by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, 2016), which needs a
 * quarter of the multiplications. Images, N x H x W x C, are cut into tiles of 4 x 4 outputs. A block of tiles goes
 * through all three steps (transform, 36 matrix products, transform back) before the next one begins, so that what
 * lies between them stays in the second-level cache.
 *
 * Who includes this has defined: `number`, of images and panels, and `vector`, LANES floats; `load` and `store` between
 * the two, `load_sums` of floats, and `positive`; `transform_input_line` and `transform_output_line`; `multiply`, ROWS x
 * channels times channels x COLUMNS; and TILES of a block, a multiple of ROWS.
 */

int winograd_lanes(void) { return LANES; }
int winograd_columns(void) { return COLUMNS; }
int winograd_tiles(void) { return TILES; }

/* floats of working memory that each thread needs */
size_t winograd_scratch(int in_channels) {
    return (size_t)36 * TILES * (in_channels * sizeof(number) / sizeof(float) + COLUMNS);
}

/* the 6 x 6 pixels around a tile, those beyond the image as 0, to `to[36]` at a distance of `stride` numbers */
static void transform_input(const number *image, int height, int width, int channels, int top, int left, number *to,
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

/* `from[36]` at a distance of `stride` floats to the 4 x 4 pixels of a tile, as far as they lie in the image */
static void transform_output(const float *from, size_t stride, const float *bias, const number *add, int relu,
                             number *image, int height, int width, int channels, int count, int top, int left) {
    int rows = height - top < 4 ? height - top : 4, columns = width - left < 4 ? width - left : 4;
    for (int c = 0; c < count; c += LANES) {
        vector lines[6][4], shift = load_sums(bias + c);
        for (int y = 0; y < 6; y++) {
            vector line[6];
            for (int x = 0; x < 6; x++) line[x] = load_sums(from + (size_t)(6 * y + x) * stride + c);
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

/* Blocks of tiles `first` to `end` - 1. `panels`: for each COLUMNS output channels, 36 matrices as `multiply` takes them;
 * `bias` has a value for every output channel of the panels. `add`, in the shape of `y`, is added before the ReLU; it
 * may be null. `scratch` has winograd_scratch() floats. */
void winograd_blocks(const number *x, const number *panels, const float *bias, const number *add, number *y,
                     const shape *s, int first, int end, float *scratch) {
    int tiles = s->images * ((s->height + 3) / 4) * ((s->width + 3) / 4), ci = s->in_channels, co = s->out_channels;
    size_t in_stride = (size_t)TILES * ci, out_stride = (size_t)TILES * COLUMNS, panel_size = (size_t)ci * COLUMNS;
    size_t image_in = (size_t)s->height * s->width * ci, image_out = (size_t)s->height * s->width * co;
    float *products = scratch;
    number *transformed = (number *)(scratch + 36 * out_stride);
    for (int block = first; block < end; block++) {
        int start = block * TILES, count = tiles - start < TILES ? tiles - start : TILES, image, top, left;
        int groups = (count + ROWS - 1) / ROWS;
        for (int t = 0; t < count; t++) {
            place_of(s, start + t, &image, &top, &left);
            transform_input(x + image * image_in, s->height, s->width, ci, top - 1, left - 1,
                            transformed + (size_t)t * ci, in_stride);
        }
        for (int k = 0; count < groups * ROWS && k < 36; k++)
            memset(transformed + k * in_stride + (size_t)count * ci, 0, (groups * ROWS - count) * ci * sizeof(number));
        for (int c = 0; c < co; c += COLUMNS) {
            size_t share = panel_size * sizeof(number) / groups; /* bytes of the next panel that a product fetches */
            for (int k = 0; k < 36; k++) {
                const number *panel = panels + ((size_t)c / COLUMNS * 36 + k) * panel_size;
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
