/** The form of a task, made from the fields of its request. */

import { signal } from "@preact/signals";
import { useId, useRef, useState } from "preact/hooks";
import { ArrowLeftRight, Dices, ImagePlus, LayoutGrid, Lock, LockOpen, PenLine, Plus, RotateCcw, Trash2 } from "lucide-preact";
import { api } from "./api";
import { inWords, useAbout } from "./picker";
import { Prompt } from "./prompt";
import { groupOf, grouped, RARE, same, type Field, type Group, type Task, type Values } from "./schema";
import { adapters, explain, models, sourceUrl } from "./state";
import { Sketch } from "./sketch";
import { Button } from "./ui";
import { SILENT } from "./wording";
import { Cards, Thumb, useAdapters } from "./writing";
import { choiceHelp, fieldHelp, fieldTitle, t } from "./words";
import type { Word } from "./words/en";

interface FormProps {
  task: Task;
  values: Values;
  change: (values: Values) => void;
  /** Fields that the screen shows elsewhere. */
  without?: ReadonlySet<string>;
}

interface FieldProps {
  field: Field;
  values: Values;
  set: (value: unknown) => void;
  /** Add words to the prompt. */
  write?: (words: string) => void;
}

export function Form({ task, values, change, without }: FormProps) {
  const groups = grouped(task, without);
  const set = (name: string) => (value: unknown) => {
    const next = { ...values };
    const field = task.fields.find((each) => each.name === name);
    if (value === undefined || (field && !field.required && same(value, field.default))) delete next[name];
    else next[name] = value;
    change(next);
  };
  return (
    <div class="form">
      {groups.map(([group, fields]) => {
        const changed = fields.filter((field) => values[field.name] !== undefined && !field.required).length;
        const inside = <Fields group={group} fields={fields} values={values} set={set} change={change} />;
        return RARE.has(group) ? (
          <details key={group} class="group" open={folds.value[group]} onToggle={(event) => (folds.value = { ...folds.value, [group]: event.currentTarget.open })}>
            <summary>
              <span>{t(`group.${group}`)}</span>
              {changed > 0 && <span class="count">{t("paint.changed", { n: changed })}</span>}
            </summary>
            {folds.value[group] && inside}
          </details>
        ) : (
          <fieldset key={group} class="group">
            <legend class={group === "words" ? "hidden" : ""}>{t(`group.${group}`)}</legend>
            {inside}
          </fieldset>
        );
      })}
    </div>
  );
}

const folds = signal<Partial<Record<Group, boolean>>>({});

interface FieldsProps {
  group: Group;
  fields: Field[];
  values: Values;
  set: (name: string) => (value: unknown) => void;
  change: (values: Values) => void;
}

function Fields({ group, fields, values, set, change }: FieldsProps) {
  const size = group === "shape" && fields.length >= 2;
  return (
    <>
      {size && <Size fields={fields} values={values} change={change} />}
      {fields
        .filter((field) => !size || !(field.name === "width" || field.name === "height"))
        .map((field) => (
          <Row key={field.name} field={field} values={values} set={set(field.name)} write={(words) => change({ ...values, prompt: joined(values.prompt, words) })} />
        ))}
    </>
  );
}

/** A prompt with words added to it. */
export const joined = (prompt: unknown, words: string): string => (prompt ? `${String(prompt).replace(/[\s,，]+$/, "")}, ${words}` : words);

/** A field with its name, its help and a way back to its default. */
export function Row(props: FieldProps) {
  const { field, values, set } = props;
  const id = useId();
  const Widget = WIDGETS[field.kind];
  const changed = values[field.name] !== undefined && !field.required;
  return (
    <div class={`row is-${field.kind} ${changed ? "changed" : ""} ${HALF.has(field.name) && field.min !== 1 ? "half" : ""}`}>
      <div class="label">
        <label for={id} id={`${id}-label`}>{fieldTitle(field)}</label>
        {changed && <Button kind="quiet" class="small" icon={RotateCcw} label={`${t("paint.reset")}: ${fieldTitle(field)}`} onClick={() => set(undefined)} />}
      </div>
      <Widget {...props} id={id} />
      {field.kind !== "prompt" && <p class="help" id={`${id}-help`}>{fieldHelp(field)}</p>}
    </div>
  );
}

/** Fields that stand two in a row. */
const HALF = new Set(["left", "right", "top", "bottom", "translation_x", "translation_y", "zoom", "angle"]);

type WidgetProps = FieldProps & { id: string };
const described = (id: string) => ({ id, "aria-describedby": `${id}-help` });

/** What it means that a field is left open. */
const OPEN: Record<string, Word> = Object.fromEntries(
  (
    [
      ["auto", "steps sampler schedule guidance image_guidance strength prediction eta vae hires_strength hires_steps hires_upscaler sigma noise batch upscaler to_guidance scale"],
      ["open.limit", "budget ram"],
      ["none", "refiner tileable tile palette like_model deblur contrast character to aesthetic negative_aesthetic"],
    ] as const
  ).flatMap(([word, names]) => names.split(" ").map((name) => [name, word])),
);

function ghost(field: Field): string {
  if (field.default === null || field.default === undefined) return field.nullable ? t(OPEN[field.name] ?? "open") : "";
  return String(field.default);
}

function Words({ field, values, set, id }: WidgetProps) {
  return <Prompt id={id} value={String(values[field.name] ?? "")} set={(text) => set(text === "" ? undefined : text)} model={String(values.model ?? "nano")} main={field.name === "prompt"} placeholder={field.name === "prompt" ? t("paint.placeholder") : fieldHelp(field)} />;
}

function Text({ field, values, set, id }: WidgetProps) {
  return <input type="text" {...described(id)} value={String(values[field.name] ?? "")} placeholder={ghost(field)} onInput={(event) => set(event.currentTarget.value || undefined)} />;
}

function numberOf(text: string): number | undefined {
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) ? undefined : value;
}

function Numeral({ field, values, set, id }: WidgetProps) {
  return (
    <input type="number" inputMode="decimal" {...described(id)} min={field.min} max={field.max} step={field.kind === "integer" ? (field.step ?? 1) : "any"}
      value={values[field.name] === undefined ? "" : Number(values[field.name])} placeholder={ghost(field)} onInput={(event) => set(numberOf(event.currentTarget.value))} />
  );
}

function Slider({ field, values, set, id }: WidgetProps) {
  const typed = values[field.name] as number | undefined;
  const most = SENSIBLE[field.name] ?? field.max ?? 1;
  const least = Math.max(field.min ?? 0, -most);
  const usual = typeof field.default === "number" ? field.default : undefined;
  const value = typed ?? usual ?? (least + most) / 2;
  const open = typed === undefined && usual === undefined;
  return (
    <div class="slider">
      <input type="range" {...described(id)} min={Math.min(least, value)} max={Math.max(most, value)} step={field.step} value={value} class={open ? "open" : typed === undefined ? "ghost" : ""} aria-valuetext={open ? ghost(field) : undefined} onInput={(event) => set(Number(event.currentTarget.value))} />
      <input type="number" aria-labelledby={`${id}-label`} min={field.min} max={field.max} step="any" value={typed ?? ""} placeholder={open && ghost(field) === t("auto") ? t("auto.short") : ghost(field)} onInput={(event) => set(numberOf(event.currentTarget.value))} />
    </div>
  );
}

/** How far a slider goes; the box beside it takes whatever the field does. */
const SENSIBLE: Record<string, number> = { steps: 60, guidance: 15, to_guidance: 15, pag: 6, seg: 6, slg: 6, hires_steps: 60, padding: 256, blur: 64, overlap: 128, grow: 64, hires: 4 };

function Choice({ field, values, set, id }: WidgetProps) {
  const options = field.options ?? [];
  const value = values[field.name] as string | undefined;
  const help = choiceHelp(field.name, value ?? String(field.default ?? ""));
  return (
    <>
      <select {...described(id)} value={value ?? (field.nullable ? "" : String(field.default))} onChange={(event) => set(event.currentTarget.value || undefined)}>
        {field.nullable && <option value="">{ghost(field)}</option>}
        {options.map((option) => (
          <option key={option} value={option}>{option}</option>
        ))}
      </select>
      {help && <p class="help meaning">{help}</p>}
    </>
  );
}

function Flag({ field, values, set, id }: WidgetProps) {
  return (
    <label class="flag">
      <input type="checkbox" role="switch" {...described(id)} checked={Boolean(values[field.name] ?? field.default)} onChange={(event) => set(event.currentTarget.checked)} />
      <span aria-hidden="true" class="knob" />
    </label>
  );
}

export function draw(): string {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

function Seed({ field, values, set, id }: WidgetProps) {
  const value = values[field.name] === undefined ? "" : String(values[field.name]);
  const locked = value !== "";
  return (
    <div class="joined">
      <input type="text" inputMode="numeric" pattern="[0-9]*" {...described(id)} value={value} placeholder={t("seed.random")} onInput={(event) => set(event.currentTarget.value.replace(/\D/g, "").slice(0, 20) || undefined)} />
      <Button icon={Dices} label={t("seed.dice")} onClick={() => set(draw())} />
      <Button icon={locked ? Lock : LockOpen} aria-pressed={locked} label={locked ? t("seed.unlock") : t("seed.lock")} onClick={() => set(locked ? undefined : draw())} />
    </div>
  );
}

const RATIOS: [number, number][] = [[1, 1], [4, 3], [3, 2], [16, 9], [3, 4], [2, 3], [9, 16]];

/** Width and height whose area is a square's, in the ratio, in whole steps. */
export function sized(side: number, [w, h]: [number, number], step = 8): [number, number] {
  const near = (value: number) => Math.max(step, Math.round(value / step) * step);
  return [near(side * Math.sqrt(w / h)), near(side * Math.sqrt(h / w))];
}

function Size({ fields, values, change }: { fields: Field[]; values: Values; change: (values: Values) => void }) {
  const id = useId();
  const model = models.value?.find((each) => each.name === (values.model ?? "nano"));
  const side = model?.size ?? 512;
  const step = side <= 256 ? 32 : 64;
  const width = values.width as number | undefined;
  const height = values.height as number | undefined;
  const own = fields.some((field) => field.name === "width" && field.help.includes("own"));
  const set = (w?: number, h?: number) => {
    const { width: _w, height: _h, ...rest } = values;
    change({ ...rest, ...(w === undefined ? {} : { width: w }), ...(h === undefined ? {} : { height: h }) });
  };
  return (
    <div class="row">
      <div class="label"><span id={id}>{t("size")}</span>
        {(width ?? height) !== undefined && <Button kind="quiet" class="small" icon={RotateCcw} label={`${t("paint.reset")}: ${t("size")}`} onClick={() => set()} />}
      </div>
      {!own && (
        <div class="ratios" role="group" aria-labelledby={id}>
          {RATIOS.map((ratio) => {
            const [w, h] = sized(side, ratio, step);
            const on = (width ?? side) === w && (height ?? side) === h;
            return (
              <button type="button" key={ratio.join(":")} aria-pressed={on} title={`${w} × ${h}`} onClick={() => (w === side && h === side ? set() : set(w, h))}>
                <svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true"><rect x={12 - (w / Math.max(w, h)) * 9} y={12 - (h / Math.max(w, h)) * 9} width={(w / Math.max(w, h)) * 18} height={(h / Math.max(w, h)) * 18} rx="2" /></svg>
                <span>{ratio.join(":")}</span>
              </button>
            );
          })}
        </div>
      )}
      <div class="joined">
        <input type="number" aria-label={t("size") + " 1"} step={8} min={8} value={width ?? ""} placeholder={own ? t("size.own") : String(side)} onInput={(event) => set(numberOf(event.currentTarget.value), height)} />
        <Button icon={ArrowLeftRight} label={t("size.swap")} onClick={() => set(height, width)} />
        <input type="number" aria-label={t("size") + " 2"} step={8} min={8} value={height ?? ""} placeholder={own ? t("size.own") : String(side)} onInput={(event) => set(width, numberOf(event.currentTarget.value))} />
      </div>
    </div>
  );
}

function Models({ field, values, set, id }: WidgetProps) {
  const known = (models.value ?? []).map((model) => model.name);
  const value = String(values[field.name] ?? field.default ?? "");
  const [open, setOpen] = useState(false);
  return (
    <div class="joined">
      <Pick id={id} known={known} value={value} none={field.nullable ? ghost(field) : ""} set={set} />
      <Button icon={LayoutGrid} label={t("models.pictures")} onClick={() => setOpen(true)} />
      {open && <Cards sort="models" title={fieldTitle(field)} chosen={[value]} choose={(name) => { set(name); setOpen(false); }} close={() => setOpen(false)} />}
    </div>
  );
}

/** Which folder of adapters a field names a file of. */
const SORTS: Record<string, string> = { vae: "vaes", like_model: "ip_adapters" };

function Adapters({ field, values, set, id }: WidgetProps) {
  const known = adapters.value[SORTS[field.name] ?? ""] ?? [];
  if (known.length === 0 && values[field.name] === undefined) return <p class="help" {...described(id)}>{t("adapters.none")}</p>;
  return <Pick id={id} known={known} value={String(values[field.name] ?? "")} none={ghost(field)} set={set} />;
}

function Pick({ id, known, value, none, set }: { id: string; known: string[]; value: string; none: string; set: (value: unknown) => void }) {
  return (
    <select {...described(id)} value={value} onChange={(event) => set(event.currentTarget.value || undefined)}>
      {none && <option value="">{none}</option>}
      {value && !known.includes(value) && <option value={value}>{value}</option>}
      {known.map((name) => <option key={name} value={name}>{name}</option>)}
    </select>
  );
}

function Colour({ field, values, set, id }: WidgetProps) {
  const value = String(values[field.name] ?? field.default ?? "000000");
  return (
    <div class="joined">
      <input type="color" {...described(id)} value={`#${value}`} onInput={(event) => set(event.currentTarget.value.slice(1))} />
      <span class="soft">#{value}</span>
    </div>
  );
}

/** Attributes of a kind that the model knows, each with what it may be. */
function Traits({ field, values, set, id }: WidgetProps) {
  const about = useAbout(String(values.model ?? "nano"));
  const kind = String(values.kind ?? "portrait");
  const chosen = Object.fromEntries(((values[field.name] as string[]) ?? []).map((each) => each.split("=", 2) as [string, string]));
  const choose = (key: string, value: string) => {
    const next = Object.entries({ ...chosen, [key]: value }).filter(([, each]) => each).map((pair) => pair.join("="));
    set(next.length ? next : undefined);
  };
  if (!about) return <input type="text" {...described(id)} placeholder="hair=mohawk, hair_color=pink" value={((values[field.name] as string[]) ?? []).join(", ")} onChange={(event) => set(event.currentTarget.value.split(",").map((each) => each.trim()).filter(Boolean))} />;
  return (
    <div class="attributes" {...described(id)}>
      {Object.entries(about[kind] ?? {}).filter(([key]) => !SILENT.has(key)).map(([key, known]) => (
        <label class="attribute" key={key}>
          <span>{inWords(key)}</span>
          <select value={chosen[key] ?? ""} onChange={(event) => choose(key, event.currentTarget.value)}>
            <option value="">{t("picker.any")}</option>
            {known.slice(0, 200).map((value) => <option key={value} value={value}>{value}</option>)}
          </select>
        </label>
      ))}
    </div>
  );
}

interface Entry {
  name: string;
  weight?: number;
}

/** Files that are named, each with a weight or without, its picture and the words that call it. */
function Named({ sort, title, entries, set, weighted, id, write }: { sort: string; title: string; entries: Entry[]; set: (next: Entry[]) => void; weighted: boolean; id: string; write?: (words: string) => void }) {
  const [open, setOpen] = useState(false);
  const details = useAdapters(sort);
  const toggle = (name: string) => set(entries.some((each) => each.name === name) ? entries.filter((each) => each.name !== name) : [...entries, weighted ? { name, weight: 1 } : { name }]);
  if ((adapters.value[sort] ?? []).length === 0) return <p class="help" {...described(id)}>{t("adapters.none")}</p>;
  return (
    <div class="named">
      {entries.map((entry, place) => {
        const about = details?.find((each) => each.name === entry.name);
        return (
          <div key={entry.name} class="entry">
            <div class="joined">
              <Thumb adapter={about} />
              <span class="name" title={entry.name}>{entry.name}</span>
              {weighted && <input type="number" aria-label={`${t("weight")}: ${entry.name}`} step="0.05" min={-10} max={10} value={entry.weight ?? 1} onInput={(event) => set(entries.map((each, i) => (i === place ? { ...each, weight: numberOf(event.currentTarget.value) ?? 1 } : each)))} />}
              <Button icon={Trash2} label={`${t("remove")}: ${entry.name}`} onClick={() => toggle(entry.name)} />
            </div>
            {write && about && about.triggers.length > 0 && (
              <div class="triggers" role="group" aria-label={t("adapters.triggers", { name: entry.name })}>
                {about.triggers.map((words) => <Button key={words} class="tag" icon={Plus} onClick={() => write(words)}>{words}</Button>)}
              </div>
            )}
          </div>
        );
      })}
      <Button id={id} icon={Plus} onClick={() => setOpen(true)}>{t("add")} …</Button>
      {open && <Cards sort={sort} title={title} chosen={entries.map((each) => each.name)} choose={toggle} close={() => setOpen(false)} />}
    </div>
  );
}

function Loras({ field, values, set, id, write }: WidgetProps) {
  return <Named id={id} sort="loras" title={fieldTitle(field)} weighted {...(write ? { write } : {})} entries={(values[field.name] as Entry[]) ?? []} set={(next) => set(next.length ? next : undefined)} />;
}

function Names({ field, values, set, id, write }: WidgetProps) {
  const names = (values[field.name] as string[]) ?? [];
  if (!adapters.value[field.name])
    return <input type="text" {...described(id)} value={names.join(", ")} onChange={(event) => set(event.currentTarget.value.split(",").map((each) => each.trim()).filter(Boolean))} />;
  return <Named id={id} sort={field.name} title={fieldTitle(field)} weighted={false} {...(write ? { write } : {})} entries={names.map((name) => ({ name }))} set={(next) => set(next.length ? next.map((each) => each.name) : undefined)} />;
}

/** A text a line, for texts that have commas of their own. What is being typed stays as typed. */
function Lines({ field, values, set, id }: WidgetProps) {
  const [text, setText] = useState("");
  const read = (typed: string) => typed.split("\n").map((each) => each.trim()).filter(Boolean);
  const lines = (values[field.name] as string[]) ?? [];
  return (
    <textarea rows={2} {...described(id)} value={same(read(text), lines) ? text : lines.join("\n")} placeholder="128,0,128,256: a bus"
      onInput={(event) => {
        setText(event.currentTarget.value);
        const typed = read(event.currentTarget.value);
        set(typed.length ? typed : undefined);
      }} />
  );
}

interface ControlValue {
  model: string;
  image: { sha256: string };
  weight?: number;
}

function Controls({ field, values, set, id }: WidgetProps) {
  const known = adapters.value.controls ?? [];
  const entries = (values[field.name] as ControlValue[]) ?? [];
  const [model, choose] = useState("");
  if (known.length === 0) return <p class="help" {...described(id)}>{t("adapters.none")}</p>;
  return (
    <div class="named">
      {entries.map((entry, place) => (
        <div key={place} class="joined">
          <img class="thumb" src={sourceUrl(entry.image) ?? ""} alt="" />
          <span class="name">{entry.model}</span>
          <input type="number" aria-label={`${t("weight")}: ${entry.model}`} step="0.05" min={0} max={10} value={entry.weight ?? 1} onInput={(event) => set(entries.map((each, i) => (i === place ? { ...each, weight: numberOf(event.currentTarget.value) ?? 1 } : each)))} />
          <Button icon={Trash2} label={`${t("remove")}: ${entry.model}`} onClick={() => set(entries.filter((_, i) => i !== place))} />
        </div>
      ))}
      <select {...described(id)} value={model} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">{t("add")} …</option>
        {known.map((name) => (
          <option key={name} value={name}>{name}</option>
        ))}
      </select>
      {model && <PictureInput id={`${id}-picture`} values={values} value={undefined} set={(image) => { set([...entries, { model, image: image as { sha256: string } }]); choose(""); }} />}
    </div>
  );
}

export async function take(file: Blob | undefined | null, set: (value: { sha256: string }) => void): Promise<void> {
  if (!file) return;
  try {
    set({ sha256: await api.upload(file) });
  } catch (error) {
    explain(error);
  }
}

/** The sheet that a form's request is drawn on: as large as what is painted, with the picture it begins from below. */
function sheetOf(values: Values): { width: number; height: number; below: string | null } {
  const side = models.value?.find((each) => each.name === (values.model ?? "nano"))?.size ?? 512;
  return { width: Number(values.width ?? side), height: Number(values.height ?? side), below: sourceUrl(values.image) };
}

export function PictureInput({ value, set, id, values = {} }: { value: unknown; set: (value: unknown) => void; id: string; values?: Values }) {
  const input = useRef<HTMLInputElement>(null);
  const [drawing, setDrawing] = useState(false);
  const sheet = sheetOf(values);
  const [over, setOver] = useState(false);
  const url = sourceUrl(value);
  return (
    <div class={`drop ${over ? "over" : ""}`}
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => { event.preventDefault(); event.stopPropagation(); setOver(false); void take(event.dataTransfer?.files[0], set); }}
      onPaste={(event) => void take([...(event.clipboardData?.files ?? [])][0], set)}
    >
      {url && <img src={url} alt="" />}
      <input ref={input} id={id} type="file" accept="image/*" class="hidden" onChange={(event) => void take(event.currentTarget.files?.[0], set)} />
      <Button icon={ImagePlus} onClick={() => input.current?.click()}>{url ? t("picture.change") : t("picture.choose")}</Button>
      <Button icon={PenLine} label={t("sketch")} onClick={() => setDrawing(true)} />
      {drawing && <Sketch {...sheet} use={(file) => void take(file, set)} close={() => setDrawing(false)} />}
      {!url && <span class="help">{t("picture.drop")}</span>}
      {url && <Button kind="quiet" icon={Trash2} label={t("remove")} onClick={() => set(undefined)} />}
    </div>
  );
}

function Picture({ field, values, set, id }: WidgetProps) {
  return <PictureInput id={id} values={values} value={values[field.name]} set={set} />;
}

function Pictures({ field, values, set, id }: WidgetProps) {
  const found = (values[field.name] as { sha256: string }[]) ?? [];
  return (
    <div class="named">
      {found.map((each, place) => (
        <div key={place} class="joined">
          <img class="thumb" src={sourceUrl(each) ?? ""} alt="" />
          <span class="name">{each.sha256.slice(0, 8)}</span>
          <Button icon={Trash2} label={t("remove")} onClick={() => set(found.filter((_, i) => i !== place))} />
        </div>
      ))}
      <PictureInput id={id} values={values} value={undefined} set={(next) => next && set([...found, next])} />
    </div>
  );
}

function Numbers({ field, values, set, id }: WidgetProps) {
  const found = values[field.name] as number[] | undefined;
  const [text, setText] = useState<string | null>(null);
  const length = field.length ?? 2;
  return (
    <input type="text" {...described(id)} inputMode="numeric" placeholder={length === 2 ? "1024, 768" : "32, 16, 64, 48"} value={text ?? found?.join(", ") ?? ""}
      onInput={(event) => {
        setText(event.currentTarget.value);
        const numbers = event.currentTarget.value.split(/[^0-9]+/).filter(Boolean).map(Number);
        set(numbers.length === length ? numbers : undefined);
      }}
      onBlur={() => setText(null)} />
  );
}

function Json({ field, values, set, id }: WidgetProps) {
  const [text, setText] = useState<string | null>(null);
  const [bad, setBad] = useState(false);
  return (
    <>
      <textarea rows={3} {...described(id)} aria-invalid={bad} value={text ?? (values[field.name] === undefined ? "" : JSON.stringify(values[field.name]))} placeholder={JSON.stringify(field.default ?? null)}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          setText(typed);
          try {
            set(typed.trim() === "" ? undefined : JSON.parse(typed));
            setBad(false);
          } catch {
            setBad(true);
          }
        }} />
      {bad && <p class="help bad">{t("json.bad")}</p>}
    </>
  );
}

const WIDGETS = {
  prompt: Words,
  text: Text,
  seed: Seed,
  slider: Slider,
  integer: Numeral,
  number: Numeral,
  choice: Choice,
  flag: Flag,
  picture: Picture,
  pictures: Pictures,
  loras: Loras,
  controls: Controls,
  names: Names,
  lines: Lines,
  numbers: Numbers,
  model: Models,
  adapter: Adapters,
  colour: Colour,
  traits: Traits,
  json: Json,
} as const satisfies Record<Field["kind"], unknown>;

export { groupOf };
