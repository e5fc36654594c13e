/** What a task's JSON schema says of its fields, as kinds of widgets. Knows no task by name. */

export interface Schema {
  $defs?: Record<string, Schema>;
  $ref?: string;
  anyOf?: Schema[];
  allOf?: Schema[];
  items?: Schema;
  prefixItems?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  type?: string;
  enum?: string[];
  const?: string;
  title?: string;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  multipleOf?: number;
  maxLength?: number;
  "x-group"?: string;
  "x-place"?: number;
}

export type Kind =
  | "prompt"
  | "text"
  | "seed"
  | "slider"
  | "integer"
  | "number"
  | "choice"
  | "flag"
  | "picture"
  | "pictures"
  | "loras"
  | "controls"
  | "names"
  | "lines"
  | "numbers"
  | "model"
  | "adapter"
  | "colour"
  | "traits"
  | "json";

export interface Field {
  name: string;
  kind: Kind;
  title: string;
  help: string;
  required: boolean;
  nullable: boolean;
  default: unknown;
  min?: number;
  max?: number;
  step?: number;
  options?: string[];
  length?: number;
  group?: Group;
  place?: number;
}

export interface Task {
  name: string;
  help: string;
  fields: Field[];
}

/** Fields that a service refuses, or that are of no use in a form. */
const HIDDEN = new Set(["task", "text_encoders", "image_encoder"]);

const LONG = 8192;
/** A time or an amount in a few characters, though no limit says so. */
const BRIEF = new Set(["budget", "ram"]);
const FEW = 4096;

export function readTasks(schemas: Record<string, Schema>): Task[] {
  return Object.entries(schemas).map(([name, schema]) => ({
    name,
    help: firstLine(schema.description ?? ""),
    fields: Object.entries(schema.properties ?? {})
      .filter(([field]) => !HIDDEN.has(field))
      .map(([field, property]) => readField(field, property, schema)),
  }));
}

export function readField(name: string, property: Schema, whole: Schema): Field {
  const choices = property.anyOf ?? [property];
  const nullable = choices.some((each) => each.type === "null");
  const found = choices.find((each) => each.type !== "null") ?? property;
  const inner = found.allOf?.[0] ?? found;
  const target = inner.$ref?.split("/").pop();
  const core = target ? { ...whole.$defs?.[target], ...inner } : inner;
  const field: Field = {
    name,
    kind: kindOf(name, core, target),
    title: capital(name),
    help: property.description ?? "",
    required: (whole.required ?? []).includes(name),
    nullable,
    default: property.default,
  };
  const min = core.minimum ?? core.exclusiveMinimum;
  if (min !== undefined) field.min = min;
  if (core.maximum !== undefined) field.max = core.maximum;
  field.step = core.multipleOf ?? (core.type === "integer" ? 1 : stepOf(field));
  const group = property["x-group"];
  if (GROUPS.includes(group as Group)) field.group = group as Group;
  if (property["x-place"] !== undefined) field.place = property["x-place"];
  if (core.enum) field.options = core.enum;
  if (core.prefixItems) field.length = core.prefixItems.length;
  return field;
}

function kindOf(name: string, core: Schema, target?: string): Kind {
  if (target === "Source") return "picture";
  if (core.enum) return "choice";
  if (core.type === "boolean") return "flag";
  if (core.type === "string") {
    if (name === "vae" || name === "like_model") return "adapter";
    if (name === "model" || name === "refiner") return "model";
    if (name.endsWith("colour")) return "colour";
    return (core.maxLength ?? LONG) >= LONG && !BRIEF.has(name) ? "prompt" : "text";
  }
  if (core.type === "integer" || core.type === "number") {
    if (core.type === "integer" && name.endsWith("seed")) return "seed";
    const span = (core.maximum ?? Infinity) - (core.minimum ?? core.exclusiveMinimum ?? -Infinity);
    if (span <= (core.type === "integer" ? 1024 : 100)) return "slider";
    return core.type === "integer" ? "integer" : "number";
  }
  if (core.type === "array") {
    if (core.prefixItems) return "numbers";
    const item = core.items?.$ref?.split("/").pop();
    if (item === "Lora") return "loras";
    if (item === "Control") return "controls";
    if (item === "Source") return "pictures";
    if (core.items?.type === "string") return name === "traits" ? name : name === "regions" ? "lines" : "names";
  }
  return "json";
}

function stepOf(field: Field): number {
  const span = (field.max ?? FEW) - (field.min ?? 0);
  if (span <= 1) return 0.01;
  if (span <= 10) return 0.05;
  return 0.5;
}

function capital(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}

/** Whether the task begins from a picture that somebody must give. */
export function beginsFromPicture(task: Task): boolean {
  return task.fields.some((field) => (field.kind === "picture" || field.kind === "pictures") && field.required);
}

/* ------------------------------------------------------------------------------------------------------- groups */

export const GROUPS = [
  "words",
  "source",
  "task",
  "shape",
  "chance",
  "means",
  "finer",
  "second",
  "adapters",
  "control",
  "guidance",
  "noise",
  "reading",
  "tiles",
  "conditioning",
] as const;
export type Group = (typeof GROUPS)[number];

/** Groups that are folded until somebody looks. */
export const RARE: ReadonlySet<Group> = new Set<Group>([
  "finer",
  "second",
  "adapters",
  "control",
  "guidance",
  "noise",
  "reading",
  "tiles",
  "conditioning",
]);

/** A task's own fields that are seldom changed. */
const LATER = new Set("grow fill padding invert only_masked overlap background untrimmed palette_file draws risk threshold label_template clean add_noise tile".split(" "));

/** Where a field stands. What the service puts into no group is the task's own, and in sight. */
export function groupOf(field: Field): Group {
  if (field.group) return field.group;
  if (field.kind === "prompt" && field.required) return "words";
  if (LATER.has(field.name)) return "finer";
  if (field.kind === "picture" || field.kind === "pictures") return "source";
  return "task";
}

/** The groups of a task in their order, each with its fields in the order of the request. */
export function grouped(task: Task, without: ReadonlySet<string> = new Set()): [Group, Field[]][] {
  const rank = (field: Field) => field.place ?? Infinity;
  return GROUPS.map((group): [Group, Field[]] => [
    group,
    task.fields
      .filter((field) => groupOf(field) === group && !without.has(field.name))
      .sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b))),
  ]).filter(([, fields]) => fields.length > 0);
}

/* ------------------------------------------------------------------------------------------------------- values */

export type Values = Record<string, unknown>;

/** The request of a task as JSON text. A seed may have 64 bits, more than numbers hold here: it is kept as digits. */
export function toJson(task: Task, values: Values): string {
  const request: Values = { task: task.name };
  for (const field of task.fields) {
    const value = values[field.name];
    if (value === undefined || value === null || value === "") {
      if (field.required && field.kind === "prompt") request[field.name] = "";
      continue;
    }
    if (Array.isArray(value) && value.length === 0) continue;
    const digits = field.kind === "seed" && typeof value === "string" && /^\d+$/.test(value);
    request[field.name] = digits ? `\u0001${BigInt(value)}` : value;
  }
  return JSON.stringify(request).replace(/"\\u0001(\d+)"/g, "$1");
}

/** JSON whose whole numbers beyond 2^53 come as digits. */
export function parseJson(text: string): any {
  return JSON.parse(text, function (_key, value, context?: { source?: string }) {
    if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
    return context?.source && /^\d+$/.test(context.source) ? context.source : value;
  } as (key: string, value: unknown) => unknown);
}

/** What of a request a task can take over, less what is its default. */
export function valuesOf(task: Task, request: Values): Values {
  const values: Values = {};
  for (const field of task.fields) {
    const value = request[field.name];
    if (value === undefined || value === null || same(value, field.default)) continue;
    values[field.name] = field.kind === "seed" ? String(value) : value;
  }
  return values;
}

/** What of `known` another program calls so, perhaps by the path of its file. */
export function nameAmong(known: string[], name: string): string | undefined {
  const stem = (text: string) => text.split(/[\\/]/).pop()!.replace(/\.(safetensors|gguf|ckpt|pt|bin)$/i, "").toLowerCase();
  return known.find((each) => each === name) ?? known.find((each) => stem(each) === stem(name));
}

export function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** The settings in which two requests differ: name, in the first, in the second. */
export function differences(a: Values | null, b: Values | null): [string, string, string][] {
  const text = (value: unknown) => (value === undefined || value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return [...new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})])]
    .map((name): [string, string, string] => [name, text(a?.[name]), text(b?.[name])])
    .filter(([, first, second]) => first !== second);
}
