// Which segment lies under a point, and its outline.

// The place at a point given as fractions of the picture's width and height.
function placeAt(layer, x, y) {
  const column = Math.min(Math.max(Math.floor(x * layer.width), 0), layer.width - 1);
  const row = Math.min(Math.max(Math.floor(y * layer.height), 0), layer.height - 1);
  return layer.places[row * layer.width + column];
}

// A path along all edges between the segment's pixels and others; `place` is a place in `segments` + 1.
function outlineOf(layer, place, scaleX, scaleY) {
  const { places, width, height } = layer;
  const path = new Path2D();
  const isIn = (x, y) => x >= 0 && y >= 0 && x < width && y < height && places[y * width + x] === place;
  for (let y = 0; y <= height; y++) {
    for (let x = 0, start = -1; x <= width; x++) {
      const isEdge = x < width && isIn(x, y) !== isIn(x, y - 1);
      if (isEdge && start < 0) start = x;
      if (!isEdge && start >= 0) start = addLine(path, start * scaleX, y * scaleY, x * scaleX, y * scaleY);
    }
  }
  for (let x = 0; x <= width; x++) {
    for (let y = 0, start = -1; y <= height; y++) {
      const isEdge = y < height && isIn(x, y) !== isIn(x - 1, y);
      if (isEdge && start < 0) start = y;
      if (!isEdge && start >= 0) start = addLine(path, x * scaleX, start * scaleY, x * scaleX, y * scaleY);
    }
  }
  return path;
}

function addLine(path, x0, y0, x1, y1) {
  path.moveTo(x0, y0);
  path.lineTo(x1, y1);
  return -1;
}

// Draws a segment's outline, or the dashed box of one without pixels, over a picture of `size` image pixels.
function drawOutline(canvas, layer, segment, size) {
  const bounds = canvas.getBoundingClientRect();
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(bounds.width * density);
  canvas.height = Math.round(bounds.height * density);
  if (!segment) return;
  const pen = canvas.getContext("2d");
  const place = layer.segments.indexOf(segment) + 1;
  const path = place
    ? outlineOf(layer, place, canvas.width / layer.width, canvas.height / layer.height)
    : boxOf(segment.box, canvas.width / size.width, canvas.height / size.height);
  pen.lineCap = "round";
  // dark under bright: seen on any picture
  for (const [width, color, dashes] of [[5, "rgb(0 0 0 / 0.75)", []], [2.5, "#f0e442", place ? [] : [7, 6]]]) {
    pen.lineWidth = width * density;
    pen.strokeStyle = color;
    pen.setLineDash(dashes.map((dash) => dash * density));
    pen.stroke(path);
  }
}

function boxOf([x, y, width, height], scaleX, scaleY) {
  const path = new Path2D();
  path.rect(x * scaleX, y * scaleY, width * scaleX, height * scaleY);
  return path;
}
