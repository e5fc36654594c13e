/** Grids: a request with its fields varied along up to three axes. Knows nothing of the page. */

import { same, type Field, type Task, type Values } from "./schema";

/** What varies along one side: a field, or the words of the prompt, and its values as they are written. */
export interface Axis {
  field: string;
  text: string;
}
/** A value along an axis: what it is called, and what it makes of a request. */
export interface Mark {
  label: string;
  apply: (values: Values) => Values;
}
export type Place = [x: number, y: number, z: number];

export const MAX_CELLS = 100;
/** Not a field: the first word is looked for in the prompt, and the others stand in its place. */
export const REPLACE = "words";
/** Not a field: width and height at once, as 512x768. */
export const SIZE = "size";

const COSTLY = ["model", "vae", "loras", "embeddings"];
const UNFIT = new Set<Field["kind"]>(["picture", "pictures", "json", "controls", "numbers", "names"]);

/** Fields that a grid may vary. */
export function varied(task: Task): string[] {
  const names = task.fields.filter((field) => !UNFIT.has(field.kind) && field.name !== "count" && field.name !== "batch").map((field) => field.name);
  const sized = names.includes("width") && names.includes("height") ? [SIZE] : [];
  return [...names.filter((name) => name !== "width" && name !== "height"), ...sized, ...(names.includes("prompt") ? [REPLACE] : [])];
}

/** Values as they are written: parted by commas, or a line each where values hold commas; 4-8 counts up, 4-8 (+2) in steps. */
export function split(text: string, lines: boolean): string[] {
  const parts = (lines || text.includes("\n") ? text.split("\n") : text.split(/[,，]/)).map((each) => each.trim()).filter(Boolean);
  return parts.flatMap((part) => {
    const range = /^(-?\d+(?:\.\d+)?)\s*-\s*(-?\d+(?:\.\d+)?)(?:\s*\(\+?(\d+(?:\.\d+)?)\))?$/.exec(part);
    if (!range || lines) return [part];
    const [from, to, by] = [Number(range[1]), Number(range[2]), Number(range[3] ?? 1)];
    if (!(by > 0) || to < from || (to - from) / by > MAX_CELLS) return [part];
    return Array.from({ length: Math.floor((to - from) / by + 1e-9) + 1 }, (_, i) => String(Math.round((from + i * by) * 1e6) / 1e6));
  });
}

/** The values of an axis, called by `named` and their text; of no axis one that changes nothing. Throws an Error that says which value is wrong. */
export function marksOf(axis: Axis | null, task: Task, named: (field: string) => string = (field) => field): Mark[] {
  if (!axis?.field) return [{ label: "", apply: (values) => values }];
  const { field: name, text } = axis;
  const field = task.fields.find((each) => each.name === name);
  const parts = split(text, field?.kind === "prompt");
  if (name === REPLACE) return parts.map((part) => ({ label: part, apply: (values) => ({ ...values, prompt: String(values.prompt ?? "").replaceAll(parts[0]!, part) }) }));
  if (name === SIZE)
    return parts.map((part) => {
      const found = /^(\d+)\s*[x×*]\s*(\d+)$/i.exec(part);
      if (!found) throw new Error(part);
      return { label: `${found[1]} × ${found[2]}`, apply: (values) => ({ ...values, width: Number(found[1]), height: Number(found[2]) }) };
    });
  if (!field) throw new Error(name);
  return parts.map((part) => {
    const value = valueOf(field, part);
    return {
      label: field.kind === "prompt" ? part : `${named(name)} ${part}`,
      apply: (values) => {
        const { [name]: _, ...rest } = values;
        return value === undefined || same(value, field.default) ? rest : { ...rest, [name]: value };
      },
    };
  });
}

function valueOf(field: Field, part: string): unknown {
  if (part === "-" || part === "–") return undefined;
  switch (field.kind) {
    case "seed":
      if (!/^\d{1,20}$/.test(part)) throw new Error(part);
      return part;
    case "slider":
    case "integer":
    case "number": {
      const value = Number(part);
      if (!Number.isFinite(value)) throw new Error(part);
      return value;
    }
    case "flag":
      return /^(1|on|yes|true|是|开)$/i.test(part);
    case "choice":
      if (!field.options?.includes(part)) throw new Error(part);
      return part;
    case "loras": {
      const [name, weight] = part.split(":");
      return [{ name: name!.trim(), weight: weight === undefined ? 1 : Number(weight) }];
    }
    default:
      return part;
  }
}

/** The request of each cell, those first that need the same model. All have one seed, unless an axis varies it. */
export function cellsOf(values: Values, axes: readonly [Mark[], Mark[], Mark[]], seed: string): { place: Place; values: Values }[] {
  const { count: _, batch: __, ...base } = { seed, ...values } as Values;
  const [xs, ys, zs] = axes;
  const cells = zs.flatMap((z, k) => ys.flatMap((y, j) => xs.map((x, i) => ({ place: [i, j, k] as Place, values: z.apply(y.apply(x.apply(base))) }))));
  const keys: string[] = [];
  const order = (cell: { values: Values }) => {
    const key = JSON.stringify(COSTLY.map((name) => cell.values[name]));
    if (!keys.includes(key)) keys.push(key);
    return keys.indexOf(key);
  };
  return cells.map((cell) => [order(cell), cell] as const).sort((a, b) => a[0] - b[0]).map(([, cell]) => cell);
}
