/** The geometry of a picture that is zoomed and panned, of frames around it and tiles of many; what can be undone. */

/** On the screen a point stands at ``scale * point + (x, y)``. */
export interface View {
  x: number;
  y: number;
  scale: number;
}
export interface Extent {
  width: number;
  height: number;
}
/** How far a picture is to be painted on, in its pixels. */
export interface Frame {
  left: number;
  right: number;
  top: number;
  bottom: number;
}
export type Edge = keyof Frame;
export interface Point {
  x: number;
  y: number;
}

export const NO_FRAME: Frame = { left: 0, right: 0, top: 0, bottom: 0 };
const SCALES = { least: 0.05, most: 32 };
const MARGIN = 32;

/** The whole picture with its frame, in the middle. */
export function fitted(room: Extent, picture: Extent, frame: Frame = NO_FRAME): View {
  const width = picture.width + frame.left + frame.right;
  const height = picture.height + frame.top + frame.bottom;
  const scale = Math.max(SCALES.least, Math.min((room.width - 2 * MARGIN) / width, (room.height - 2 * MARGIN) / height, 4));
  return {
    x: (room.width - scale * width) / 2 + scale * frame.left,
    y: (room.height - scale * height) / 2 + scale * frame.top,
    scale,
  };
}

/** Nearer by a factor; the point of the picture at `at` stays where it is. */
export function zoomed(view: View, factor: number, at: Point): View {
  const scale = Math.min(SCALES.most, Math.max(SCALES.least, view.scale * factor));
  const by = scale / view.scale;
  return { x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by, scale };
}

export function toPicture(view: View, at: Point): Point {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/** Where a picture stands in what it became with a frame around it, in percent. */
export function within(whole: Extent, frame: Frame): { left: string; top: string; width: string; height: string } {
  const percent = (part: number, all: number) => `${(100 * part) / all}%`;
  return {
    left: percent(frame.left, whole.width),
    top: percent(frame.top, whole.height),
    width: percent(whole.width - frame.left - frame.right, whole.width),
    height: percent(whole.height - frame.top - frame.bottom, whole.height),
  };
}

/** The edge of the frame that is near to a point of the picture. */
export function edgeAt(picture: Extent, frame: Frame, at: Point, near: number): Edge | null {
  const within = at.x > -frame.left - near && at.x < picture.width + frame.right + near && at.y > -frame.top - near && at.y < picture.height + frame.bottom + near;
  if (!within) return null;
  const far: [Edge, number][] = [
    ["left", Math.abs(at.x + frame.left)],
    ["right", Math.abs(at.x - picture.width - frame.right)],
    ["top", Math.abs(at.y + frame.top)],
    ["bottom", Math.abs(at.y - picture.height - frame.bottom)],
  ];
  const [edge, distance] = far.reduce((a, b) => (b[1] < a[1] ? b : a));
  return distance <= near ? edge : null;
}

/** The frame with an edge dragged to a point, in steps; never into the picture. */
export function framed(picture: Extent, frame: Frame, edge: Edge, at: Point, step = 8, most = 4096): Frame {
  const out = { left: -at.x, right: at.x - picture.width, top: -at.y, bottom: at.y - picture.height }[edge];
  return { ...frame, [edge]: Math.min(most, Math.max(0, Math.round(out / step) * step)) };
}

/** What was, what is, what could be again. */
export class History<T> {
  private past: T[] = [];
  private future: T[] = [];
  constructor(private readonly most = 24) {}

  /** Something is about to change; this is how it was. */
  keep(before: T): void {
    this.past = [...this.past.slice(1 - this.most), before];
    this.future = [];
  }
  undo(now: T): T | undefined {
    const before = this.past.pop();
    if (before !== undefined) this.future.push(now);
    return before;
  }
  redo(now: T): T | undefined {
    const next = this.future.pop();
    if (next !== undefined) this.past.push(now);
    return next;
  }
  get undoable(): boolean {
    return this.past.length > 0;
  }
  get redoable(): boolean {
    return this.future.length > 0;
  }
}

/** Radius of the brush in pixels of the picture, for a pen that presses from 0 to 1. */
export function radius(size: number, pressure: number, kind: string): number {
  return (size / 2) * (kind === "pen" ? 0.25 + 0.75 * pressure : 1);
}

/** A pixel's red, green and blue as pages write them. */
export function hex(pixel: ArrayLike<number>): string {
  return `#${[0, 1, 2].map((i) => pixel[i]!.toString(16).padStart(2, "0")).join("")}`;
}

/** Which rows of tiles are in sight, with some to spare. */
export function rowsInSight(top: number, height: number, row: number, rows: number, spare = 3): [number, number] {
  const first = Math.max(0, Math.floor(top / row) - spare);
  return [Math.min(first, rows), Math.min(rows, Math.ceil((top + height) / row) + spare)];
}
