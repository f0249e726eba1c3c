// Fingerprints of one file, off the page's thread. It is given a file and answers with hashes: bytes stay here.

import { pdqOf } from "./pdq.js";

const MIN_QUALITY = 50;
const MAX_PIXELS = 40_000_000;

self.onmessage = async ({ data: { id, file } }) => {
  try {
    self.postMessage({ id, fingerprints: await fingerprints(file) });
  } catch (error) {
    self.postMessage({ id, problem: error instanceof Unusable ? error.message : "This file could not be read as a picture." });
  }
};

class Unusable extends Error {}

async function fingerprints(file) {
  const bytes = await file.arrayBuffer();
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  if (bitmap.width * bitmap.height > MAX_PIXELS) throw new Unusable("This picture is too large. A screenshot of it will do.");
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  drawing.drawImage(bitmap, 0, 0);
  const { data } = drawing.getImageData(0, 0, bitmap.width, bitmap.height);
  const { hex, quality } = pdqOf(data, bitmap.width, bitmap.height);
  if (quality < MIN_QUALITY) throw new Unusable("Too plain or too small to find copies of. Is there a larger one?");
  return [
    { algorithm: "pdq", value: hex, quality },
    { algorithm: "sha1", value: await digest("SHA-1", bytes) },
    { algorithm: "sha256", value: await digest("SHA-256", bytes) },
  ];
}

async function digest(name, bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest(name, bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
