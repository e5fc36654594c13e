import { beforeAll, expect, test, vi } from "vitest";
import type { Job } from "../src/api";
import type { Film } from "../src/film";

const film: Film = { values: { prompt: "a fox" }, first: { sha256: "ab" }, frames: 3, jobs: [], stopped: false };
const job = (id: string, state: Job["state"], seed = "7") => ({ id, state, pictures: state === "done" ? [{ index: 0, seed, url: `/${id}` }] : [] }) as unknown as Job;
let made: typeof import("../src/film");

beforeAll(async () => {
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("navigator", { language: "en" });
  vi.stubGlobal("addEventListener", () => undefined);
  made = await import("../src/film");
});

test("a frame begins from the one before, and seeds count on", () => {
  const { following } = made;
  expect(following(film, {})).toEqual({ url: null, seed: null });
  const one = { ...film, jobs: ["a"] };
  expect(following(one, { a: job("a", "running") })).toBeNull();
  expect(following(one, { a: job("a", "done") })).toEqual({ url: "/a", seed: "8" });
  expect(following(one, { a: job("a", "done", String(2n ** 64n - 1n)) })).toEqual({ url: "/a", seed: "0" });
});

test("it ends with its last frame, when it is stopped, and when a frame came to nothing", () => {
  const { following } = made;
  expect(following({ ...film, frames: 1, jobs: ["a"] }, { a: job("a", "done") })).toBeNull();
  expect(following({ ...film, stopped: true }, {})).toBeNull();
  expect(following({ ...film, jobs: ["a"] }, { a: job("a", "failed") })).toBe("stop");
});

test("the file names its frames in their order", () => {
  expect(made.movingUrl(["b", "a"], 8, "webp")).toBe("/api/v1/gallery/animation?ids=b-0&ids=a-0&fps=8&format=webp");
});
