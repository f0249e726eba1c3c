// PDQ, the perceptual hash of pictures: 256 bits and a quality from 0 to 100. The same pixels give what `shared/media/pdq.py` gives:
// every sum is rounded to 32 bits in the same order (Facebook, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
// algorithm", 2019). No network, no page: a worker and the tests import it.

const SIDE = 64;
const MIN_SIDE_PIXELS = 5;
const round = Math.fround;

/** The hash of RGBA pixels (Uint8Array or Uint8ClampedArray, row by row, alpha dropped): {hex, quality}. */
export function pdqOf(rgba, width, height) {
  if (width < MIN_SIDE_PIXELS || height < MIN_SIDE_PIXELS) return { hex: "0".repeat(64), quality: 0 };
  const luma = lumaOf(rgba, width * height);
  const samples = width === SIDE && height === SIDE ? luma : downsampled(luma, width, height);
  return { hex: hexOf(transformed(samples)), quality: qualityOf(samples) };
}

/** Luma (Rec. 601), as the reference rounds it. */
function lumaOf(rgba, count) {
  const luma = new Float32Array(count);
  for (let at = 0, from = 0; at < count; at++, from += 4) {
    luma[at] = (299 * rgba[from] + 587 * rgba[from + 1] + 114 * rgba[from + 2]) / 1000;
  }
  return luma;
}

/** 64 x 64 samples after two passes of a box filter along each axis. */
function downsampled(luma, width, height) {
  let plane = boxAlongRows(luma, width, height);
  plane = boxAlongColumns(plane, width, height);
  plane = boxAlongRows(plane, width, height);
  return sampledAlongColumns(plane, width, height, centres(width), centres(height));
}

const windowOf = (length) => Math.floor((length + 2 * SIDE - 1) / (2 * SIDE));

function centres(length) {
  return Array.from({ length: SIDE }, (_, place) => Math.floor(((place + 0.5) * length) / SIDE));
}

/** Averages over a window around each place, smaller at the ends; the running sum keeps the reference's rounding. */
function boxAlongRows(plane, width, height) {
  const out = new Float32Array(plane.length);
  const window = windowOf(width);
  const ahead = (window + 2) >> 1;
  for (let row = 0; row < height; row++) {
    const base = row * width;
    let total = 0;
    for (let entering = 0; entering < ahead - 1 && entering < width; entering++) total = round(total + plane[base + entering]);
    for (let place = 0; place < width; place++) {
      const entering = place + ahead - 1;
      const leaving = entering - window;
      if (entering < width) total = round(total + plane[base + entering]);
      if (leaving >= 0) total = round(total - plane[base + leaving]);
      out[base + place] = total / (Math.min(entering, width - 1) - Math.max(leaving, -1));
    }
  }
  return out;
}

/** The same down each column; whole rows at a time, since memory is read along rows. */
function boxAlongColumns(plane, width, height) {
  const out = new Float32Array(plane.length);
  runDownColumns(plane, width, height, (place, totals, size) => {
    const base = place * width;
    for (let column = 0; column < width; column++) out[base + column] = totals[column] / size;
  });
  return out;
}

function sampledAlongColumns(plane, width, height, columns, rows) {
  const out = new Float32Array(SIDE * SIDE);
  let wanted = 0;
  runDownColumns(plane, width, height, (place, totals, size) => {
    while (wanted < SIDE && rows[wanted] === place) {
      for (let column = 0; column < SIDE; column++) out[wanted * SIDE + column] = totals[columns[column]] / size;
      wanted++;
    }
  });
  return out;
}

function runDownColumns(plane, width, height, use) {
  const window = windowOf(height);
  const ahead = (window + 2) >> 1;
  const totals = new Float32Array(width);
  const add = (row, sign) => {
    const base = row * width;
    for (let column = 0; column < width; column++) totals[column] += sign * plane[base + column];
  };
  for (let entering = 0; entering < ahead - 1 && entering < height; entering++) add(entering, 1);
  for (let place = 0; place < height; place++) {
    const entering = place + ahead - 1;
    const leaving = entering - window;
    if (entering < height) add(entering, 1);
    if (leaving >= 0) add(leaving, -1);
    use(place, totals, Math.min(entering, height - 1) - Math.max(leaving, -1));
  }
}

const COSINES = (() => {
  const scale = round(Math.sqrt(2 / SIDE));
  const step = Math.PI / 2 / SIDE;
  const rows = new Float32Array(16 * SIDE);
  for (let k = 1; k <= 16; k++) {
    for (let place = 0; place < SIDE; place++) rows[(k - 1) * SIDE + place] = scale * Math.cos(step * k * (2 * place + 1));
  }
  return rows;
})();

/** Frequencies 1..16 along both axes of the cosine transform. */
function transformed(samples) {
  const half = new Float32Array(16 * SIDE);
  for (let k = 0; k < SIDE; k++) {
    for (let row = 0; row < 16; row++) {
      const factor = COSINES[row * SIDE + k];
      for (let column = 0; column < SIDE; column++) half[row * SIDE + column] += round(factor * samples[k * SIDE + column]);
    }
  }
  const whole = new Float32Array(16 * 16);
  for (let k = 0; k < SIDE; k++) {
    for (let row = 0; row < 16; row++) {
      for (let column = 0; column < 16; column++) {
        whole[row * 16 + column] += round(half[row * SIDE + k] * COSINES[column * SIDE + k]);
      }
    }
  }
  return whole;
}

/** Which coefficients are above their median (the 128th smallest), the last one first. */
function hexOf(coefficients) {
  const median = Float32Array.from(coefficients).sort()[127];
  let hex = "";
  for (let at = 255; at >= 0; at -= 4) {
    let nibble = 0;
    for (let bit = 0; bit < 4; bit++) nibble = (nibble << 1) | (coefficients[at - bit] > median ? 1 : 0);
    hex += nibble.toString(16);
  }
  return hex;
}

/** Steps between neighbours, each cut to a whole per cent. */
function qualityOf(samples) {
  let total = 0;
  const step = (one, other) => Math.abs(Math.trunc(round(round(round(one - other) * 100) / 255)));
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const here = samples[row * SIDE + column];
      if (row + 1 < SIDE) total += step(here, samples[(row + 1) * SIDE + column]);
      if (column + 1 < SIDE) total += step(here, samples[row * SIDE + column + 1]);
    }
  }
  return Math.min(Math.floor(total / 90), 100);
}
