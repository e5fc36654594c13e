import { expect, it } from "vitest";
import { laid } from "../src/lineage";

const at = (spots: ReturnType<typeof laid>) => Object.fromEntries(spots.map(({ id, column, row }) => [id, [column, row]]));

it("puts children after all their parents", () => {
  expect(at(laid(["c", "a", "b", "d"], [["a", "b"], ["b", "c"], ["a", "c"], ["a", "d"]]))).toEqual({ a: [0, 0], b: [1, 0], d: [1, 1], c: [2, 0] });
});

it("keeps children beside their parents", () => {
  expect(at(laid(["a", "b", "y", "x"], [["a", "x"], ["b", "y"]]))).toEqual({ a: [0, 0], b: [0, 1], x: [1, 0], y: [1, 1] });
});

it("does not go round in circles, nor after what is not there", () => {
  expect(laid(["a", "b"], [["a", "b"], ["b", "a"], ["gone", "a"], ["a", "a"]])).toHaveLength(2);
});
