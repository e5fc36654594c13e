/** The mask that is drawn on a picture: opaque where to paint. One for the whole page; it survives a change of screen. */

import { signal } from "@preact/signals";
import { History, type Extent, type Point } from "./canvas";

export const size = signal(40);
/** Counts up whenever the mask has changed. */
export const stroke = signal(0);
export const empty = signal(true);

let canvas: HTMLCanvasElement | null = null;
let history = new History<ImageData>();
let owner = "";

function pen(): CanvasRenderingContext2D {
  return canvas!.getContext("2d", { willReadFrequently: true })!;
}

/** Begin with an empty mask for a picture, unless it has one. */
export function prepare(picture: string, extent: Extent): void {
  if (owner === picture && canvas) return;
  owner = picture;
  canvas = document.createElement("canvas");
  canvas.width = extent.width;
  canvas.height = extent.height;
  history = new History();
  changed();
}

export function drawn(): HTMLCanvasElement | null {
  return canvas;
}

function whole(): ImageData {
  return pen().getImageData(0, 0, canvas!.width, canvas!.height);
}

function changed(): void {
  const data = canvas ? whole().data : [];
  let found = false;
  for (let i = 3; i < data.length && !found; i += 4) found = data[i]! > 127;
  empty.value = !found;
  stroke.value++;
}

export const undoable = () => (stroke.value, history.undoable);
export const redoable = () => (stroke.value, history.redoable);

/** Before a stroke. */
export function begin(): void {
  history.keep(whole());
}
export function end(): void {
  changed();
}

export function line(from: Point, to: Point, radius: number, erase: boolean): void {
  const context = pen();
  context.globalCompositeOperation = erase ? "destination-out" : "source-over";
  context.lineWidth = radius * 2;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = "#fff";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x + 0.01, to.y);
  context.stroke();
}

export function box(a: Point, b: Point): void {
  const context = pen();
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "#fff";
  context.fillRect(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(b.x - a.x), Math.abs(b.y - a.y));
}

export function clear(): void {
  begin();
  pen().clearRect(0, 0, canvas!.width, canvas!.height);
  changed();
}

export function invert(): void {
  begin();
  const context = pen();
  context.globalCompositeOperation = "xor";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas!.width, canvas!.height);
  changed();
}

function put(image: ImageData | undefined): void {
  if (!image) return;
  pen().putImageData(image, 0, 0);
  changed();
}
export function undo(): void {
  if (canvas) put(history.undo(whole()));
}
export function redo(): void {
  if (canvas) put(history.redo(whole()));
}

/** White where to paint, black elsewhere, as requests have it. */
export function file(): Promise<Blob> {
  const out = document.createElement("canvas");
  out.width = canvas!.width;
  out.height = canvas!.height;
  const context = out.getContext("2d")!;
  context.fillRect(0, 0, out.width, out.height);
  context.drawImage(canvas!, 0, 0);
  return new Promise((done, failed) => out.toBlob((blob) => (blob ? done(blob) : failed(new Error("no mask"))), "image/png"));
}
