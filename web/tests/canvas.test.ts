import { expect, it } from "vitest";
import { edgeAt, fitted, framed, hex, History, NO_FRAME, radius, rowsInSight, toPicture, within, zoomed } from "../src/canvas";

const picture = { width: 256, height: 128 };

it("fits a picture and its frame into the room", () => {
  const frame = { ...NO_FRAME, left: 256 };
  const view = fitted({ width: 576, height: 400 }, picture, frame);
  expect(view.scale).toBeCloseTo(1);
  expect(view.x).toBeCloseTo(32 + 256);
  expect(toPicture(view, { x: 32, y: view.y })).toEqual({ x: -256, y: 0 });
});

it("keeps the point under the pointer when it zooms", () => {
  const view = { x: 10, y: 20, scale: 1.5 };
  const at = { x: 77, y: 33 };
  const near = toPicture(zoomed(view, 2, at), at);
  expect(near.x).toBeCloseTo(toPicture(view, at).x);
  expect(near.y).toBeCloseTo(toPicture(view, at).y);
  expect(zoomed(view, 1e9, at).scale).toBe(32);
});

it("drags edges outwards in steps, never into the picture", () => {
  expect(edgeAt(picture, NO_FRAME, { x: 258, y: 60 }, 5)).toBe("right");
  expect(edgeAt(picture, NO_FRAME, { x: 128, y: 60 }, 5)).toBeNull();
  expect(edgeAt(picture, NO_FRAME, { x: 400, y: 1 }, 5)).toBeNull();
  expect(framed(picture, NO_FRAME, "right", { x: 301, y: 0 })).toEqual({ ...NO_FRAME, right: 48 });
  expect(framed(picture, NO_FRAME, "top", { x: 0, y: 50 }).top).toBe(0);
});

it("takes back and gives again", () => {
  const history = new History<string>(2);
  expect(history.undo("now")).toBeUndefined();
  history.keep("a");
  history.keep("b");
  history.keep("c");
  expect(history.undo("d")).toBe("c");
  expect(history.undo("c")).toBe("b");
  expect(history.undo("b")).toBeUndefined();
  expect(history.redo("b")).toBe("c");
  history.keep("x");
  expect(history.redoable).toBe(false);
});

it("is as broad as a pen presses", () => {
  expect(radius(40, 0.5, "mouse")).toBe(20);
  expect(radius(40, 1, "pen")).toBe(20);
  expect(radius(40, 0, "pen")).toBe(5);
});

it("draws no more tiles than are in sight, of however many", () => {
  expect(rowsInSight(0, 600, 200, 25_000, 2)).toEqual([0, 5]);
  expect(rowsInSight(2_000_000, 600, 200, 25_000, 2)).toEqual([9998, 10_005]);
  expect(rowsInSight(9e9, 600, 200, 10)).toEqual([10, 10]);
});

it("writes colours as pages do", () => {
  expect(hex([255, 10, 0, 255])).toBe("#ff0a00");
});

it("places a picture in what it became with a frame", () => {
  expect(within({ width: 320, height: 256 }, { ...NO_FRAME, left: 64 })).toEqual({ left: "20%", top: "0%", width: "80%", height: "100%" });
});
