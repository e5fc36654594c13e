import { expect, it } from "vitest";
import { cellsOf, marksOf, REPLACE, SIZE, split, varied } from "../src/grid";
import { readTasks, type Values } from "../src/schema";

const [task] = readTasks({
  novel: {
    properties: {
      prompt: { type: "string", maxLength: 8192 },
      seed: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
      steps: { anyOf: [{ type: "integer", minimum: 1, maximum: 1000 }, { type: "null" }], default: null },
      model: { type: "string", maxLength: 4096, default: "nano" },
      sampler: { enum: ["euler", "heun"], type: "string", default: "euler" },
      width: { type: "integer" }, height: { type: "integer" },
      image: { $ref: "#/$defs/Source" },
    },
  },
});

it("reads values, ranges and lines", () => {
  expect(split("1, 3，7", false)).toEqual(["1", "3", "7"]);
  expect(split("4-8 (+2), 20", false)).toEqual(["4", "6", "8", "20"]);
  expect(split("0.2-0.6 (+0.2)", false)).toEqual(["0.2", "0.4", "0.6"]);
  expect(split("a fox, red\nan owl", true)).toEqual(["a fox, red", "an owl"]);
});

it("offers what can be varied", () => expect(varied(task!)).toEqual(["prompt", "seed", "steps", "model", "sampler", SIZE, REPLACE]));

it("gives each cell its request, one seed for all, a model's cells together", () => {
  const axes = [marksOf({ field: "model", text: "a, b" }, task!), marksOf({ field: "steps", text: "4, 8" }, task!), marksOf(null, task!)] as const;
  const cells = cellsOf({ prompt: "a fox", count: 4 }, axes, "9");
  expect(cells.map((cell) => cell.place)).toEqual([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]]);
  expect(cells[3]!.values).toEqual({ prompt: "a fox", seed: "9", model: "b", steps: 8 });
  expect(axes[1].map((mark) => mark.label)).toEqual(["steps 4", "steps 8"]);
});

it("replaces words, sets sizes, keeps defaults out, seeds whole", () => {
  const made = (field: string, text: string, at: number): Values => marksOf({ field, text }, task!)[at]!.apply({ prompt: "a red fox", sampler: "heun" });
  expect(made(REPLACE, "red, blue", 1).prompt).toBe("a blue fox");
  expect(made(SIZE, "512x256", 0)).toMatchObject({ width: 512, height: 256 });
  expect("sampler" in made("sampler", "euler", 0)).toBe(false);
  expect(made("seed", "18446744073709551615", 0).seed).toBe("18446744073709551615");
});

it("says which value is wrong", () => {
  expect(() => marksOf({ field: "sampler", text: "euler, oiler" }, task!)).toThrow("oiler");
  expect(() => marksOf({ field: "steps", text: "many" }, task!)).toThrow("many");
  expect(() => marksOf({ field: SIZE, text: "wide" }, task!)).toThrow("wide");
});
