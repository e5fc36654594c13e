import { describe, expect, it } from "vitest";
import { beginsFromPicture, differences, grouped, nameAmong, parseJson, readTasks, toJson, valuesOf, type Schema } from "../src/schema";

const source = { $ref: "#/$defs/Source" };
const schema: Schema = {
  description: "Do something new.\n\nMore of it.",
  $defs: { Source: { type: "object" }, Lora: { type: "object" } },
  required: ["prompt", "image"],
  properties: {
    task: { const: "novel", type: "string" },
    prompt: { type: "string", maxLength: 8192 },
    image: { ...source, description: "to begin from" },
    seed: { anyOf: [{ type: "integer", minimum: 0, maximum: 2 ** 64 }, { type: "null" }], default: null, "x-group": "chance", "x-place": 5 },
    strength: { type: "number", minimum: 0, maximum: 1, default: 0.75 },
    fancy: { anyOf: [{ enum: ["a", "b"], type: "string" }, { type: "null" }], default: null },
    width: { anyOf: [{ type: "integer", minimum: 16, maximum: 8192, multipleOf: 8 }, { type: "null" }], default: null },
    loras: { type: "array", items: { $ref: "#/$defs/Lora" }, default: [] },
    box: { anyOf: [{ type: "array", prefixItems: [{ type: "integer" }, { type: "integer" }] }, { type: "null" }], default: null },
    odd: { type: "object", default: {} },
  },
};
const [task] = readTasks({ novel: schema });

describe("a task that this page never met", () => {
  it("has a widget for every field", () => {
    expect(Object.fromEntries(task!.fields.map((field) => [field.name, field.kind]))).toEqual({
      prompt: "prompt", image: "picture", seed: "seed", strength: "slider", fancy: "choice", width: "integer", loras: "loras",
      box: "numbers", odd: "json",
    });
    expect(task!.help).toBe("Do something new.");
    expect(task!.fields.find((field) => field.name === "width")).toMatchObject({ min: 16, max: 8192, step: 8, nullable: true });
  });

  it("loses none of them among the groups", () => {
    const names = grouped(task!).flatMap(([, fields]) => fields.map((field) => field.name));
    expect(names.sort()).toEqual(task!.fields.map((field) => field.name).sort());
    expect(grouped(task!).find(([group]) => group === "task")?.[1].map((field) => field.name)).toContain("strength");
  });

  it("has fields where the service says that they belong", () => {
    expect(grouped(task!).find(([group]) => group === "chance")?.[1].map((field) => field.name)).toEqual(["seed"]);
  });

  it("is one that begins from a picture", () => expect(beginsFromPicture(task!)).toBe(true));
});

describe("requests", () => {
  it("keep seeds of 64 bits", () => {
    const text = toJson(task!, { prompt: 'say "\\u00015"', seed: "18446744073709551615", strength: 0 });
    expect(text).toContain('"seed":18446744073709551615');
    expect(text).toContain('"strength":0');
    expect(JSON.parse(text).prompt).toBe('say "\\u00015"');
  });

  it("leave out what is not chosen, but never a prompt", () => {
    expect(JSON.parse(toJson(task!, { fancy: undefined, loras: [] }))).toEqual({ task: "novel", prompt: "" });
  });

  it("are read back less their defaults", () => {
    const request = { task: "novel", prompt: "a", strength: 0.75, seed: 7, fancy: null, loras: [], odd: {}, gone: 1 };
    expect(valuesOf(task!, request)).toEqual({ prompt: "a", seed: "7" });
  });

  it("are parsed as far as numbers go", () => expect(parseJson('{"n": 3, "x": 0.5}')).toEqual({ n: 3, x: 0.5 }));
});

it("lists the settings in which two pictures differ", () => {
  expect(differences({ seed: 1, steps: 4, loras: [] }, { seed: 2, steps: 4, loras: [], hires: 2 })).toEqual([
    ["seed", "1", "2"],
    ["hires", "–", "2"],
  ]);
  expect(differences(null, null)).toEqual([]);
});

it("finds files by what other programs call them", () => {
  const known = ["nano", "sdxl/dreamShaper_8"];
  expect(nameAmong(known, "dreamshaper_8.safetensors")).toBe("sdxl/dreamShaper_8");
  expect(nameAmong(known, "C:\\models\\nano.ckpt")).toBe("nano");
  expect(nameAmong(known, "harbor.safetensors")).toBeUndefined();
});
