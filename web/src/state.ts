/** What the page knows: settings, tasks, jobs as they go, what was typed. */

import { computed, signal } from "@preact/signals";
import { api, ApiError, locked, uploadUrl, type Job, type Model, type PictureShown } from "./api";
import { beginsFromPicture, readTasks, toJson, valuesOf, type Task, type Values } from "./schema";
import { latest, priorities } from "./order";
import { stored } from "./stored";
import { language, t } from "./words";

export type Screen = "paint" | "edit" | "compare" | "gallery" | "queue" | "models" | "status" | "settings" | "more";
export const SCREENS: readonly Screen[] = [
  "paint",
  "edit",
  "compare",
  "gallery",
  "queue",
  "models",
  "status",
  "settings",
  "more",
];

/* ----------------------------------------------------------------------------------------------------- settings */

export type Theme = "auto" | "light" | "dark";
export const theme = stored<Theme>("theme", "auto");

/* ------------------------------------------------------------------------------------------------------- places */

function placeOf(): Screen {
  const name = location.hash.replace(/^#\/?/, "").split("/")[0] as Screen;
  return SCREENS.includes(name) ? name : "paint";
}
export const screen = signal<Screen>(placeOf());
addEventListener("hashchange", () => (screen.value = placeOf()));
export function go(to: Screen): void {
  location.hash = `#/${to}`;
  screen.value = to; // the event comes later than the next key may
}

/* ------------------------------------------------------------------------------------------------------- notices */

export interface Notice {
  id: number;
  text: string;
  kind: "said" | "bad";
  act?: { label: string; run: () => void };
}
export const notices = signal<Notice[]>([]);
let counted = 0;
export function say(text: string, kind: Notice["kind"] = "said", act?: Notice["act"]): void {
  const notice: Notice = act ? { id: ++counted, text, kind, act } : { id: ++counted, text, kind };
  notices.value = [...notices.value.filter((each) => each.text !== text).slice(-2), notice];
  setTimeout(() => unsay(notice.id), kind === "bad" || act ? 12_000 : 4_000);
}
export function unsay(id: number): void {
  notices.value = notices.value.filter((each) => each.id !== id);
}
export function explain(error: unknown): void {
  if (error instanceof ApiError) {
    if (error.status === 401) return; // the page asks for the token instead
    say(error.status === 0 ? t("offline.said") : error.message, "bad");
    return;
  }
  say(error instanceof Error ? error.message : String(error), "bad");
}

/* --------------------------------------------------------------------------------------------------- what there is */

export const tasks = signal<Task[]>([]);
export const models = signal<Model[] | null>(null);
export const adapters = signal<Record<string, string[]>>({});
export const paintTasks = computed(() => tasks.value.filter((task) => !beginsFromPicture(task)));
export const editTasks = computed(() => tasks.value.filter(beginsFromPicture));

export interface Draft {
  task: string;
  values: Values;
}
export const paint = stored<Draft>("paint", { task: "txt2img", values: {} });
export const edit = stored<Draft>("edit", { task: "img2img", values: {} });

export function taskOf(draft: Draft, among: Task[]): Task | undefined {
  return among.find((task) => task.name === draft.task) ?? among[0];
}

export async function loadCatalogue(): Promise<void> {
  await Promise.all([
    api.models().then((found) => (models.value = found)),
    api.adapters().then((found) => (adapters.value = found)),
    api.tasks().then((found) => (tasks.value = readTasks(found))),
  ]);
}

/* --------------------------------------------------------------------------------------------------------- jobs */

export interface Live {
  step: number;
  steps: number;
  share: number;
  secondsLeft: number | null;
  at: number;
  preview: string | null;
}

export const jobs = signal<Record<string, Job>>({});
export const lives = signal<Record<string, Live>>({});
export const connected = signal(true);
export const loaded = signal(false);

const OPEN = new Set(["queued", "paused", "running", "cancelling"]);
const ORDER = ["running", "cancelling", "queued", "paused"];
export const newest = computed(() => Object.values(jobs.value).sort((a, b) => b.number - a.number));
export const waiting = computed(() =>
  newest.value
    .filter((job) => OPEN.has(job.state))
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.position ?? 0) - (b.position ?? 0) || a.number - b.number),
);
export const ended = computed(() => newest.value.filter((job) => !OPEN.has(job.state)));

export interface Shown {
  job: string;
  index: number;
}
/** On the stage; null: what is being painted, or the last. */
export const shown = signal<Shown | null>(null);
export const pictures = computed(() =>
  newest.value.flatMap((job) => job.pictures.map((picture): [Job, PictureShown] => [job, picture])),
);
export const running = computed(() => waiting.value.find((job) => job.state === "running" || job.state === "cancelling"));
/** Jobs that this page asked for; their pictures go on the stage. */
export const mine = new Set<string>();
export const lastMine = signal<string | null>(null);

export function keep(...found: Job[]): void {
  jobs.value = latest(jobs.value, found);
}

export async function refresh(): Promise<void> {
  keep(...(await api.jobs("limit=60")), ...(await api.jobs("state=queued&limit=200")), ...(await api.jobs("state=paused&limit=200")));
  held.value = (await api.queue()).paused;
  loaded.value = true;
}

/** Whether the queue is paused. */
export const held = signal(false);
export async function hold(paused: boolean): Promise<void> {
  try {
    held.value = (await api.hold(paused)).paused;
  } catch (error) {
    explain(error);
  }
}

const HIGHEST = 100;
let moves = 0;
let moving = 0;
/** Have the jobs that wait painted in this order, by their priorities. */
export async function reorder(ids: string[]): Promise<void> {
  const known = jobs.value;
  const mine = ++moves;
  moving++;
  jobs.value = { ...known, ...Object.fromEntries(ids.map((id, i) => [id, { ...known[id]!, position: i + 1 }])) };
  try {
    for (const [id, priority] of priorities(ids.map((each) => [each, known[each]!.priority]), HIGHEST)) await api.prefer(id, priority); // places in between are not shown
    const found = await api.jobs("state=queued&limit=200");
    if (mine === moves) keep(...found);
  } catch (error) {
    explain(error);
  } finally {
    moving--;
  }
}

let places: ReturnType<typeof setTimeout> | undefined;
function refreshPlaces(): void {
  clearTimeout(places);
  places = setTimeout(() => {
    if (moving === 0) api.jobs("state=queued&limit=200").then((found) => moving === 0 && keep(...found), () => undefined);
  }, 150);
}

let stream: EventSource | null = null;
export function connect(): void {
  stream?.close();
  if (!loaded.value) {
    loadCatalogue().catch(explain);
    refresh().catch(explain);
  }
  stream = new EventSource("/api/v1/events");
  stream.onopen = () => {
    connected.value = true;
    if (loaded.value) refresh().catch(explain);
    if (loaded.value && tasks.value.length === 0) loadCatalogue().catch(explain);
  };
  stream.onerror = () => {
    connected.value = false;
    if (stream?.readyState !== EventSource.CLOSED) return; // it comes back by itself
    api.jobs("limit=1").then(
      () => setTimeout(connect, 500),
      (error) => {
        if (!locked.value) setTimeout(connect, error instanceof ApiError && error.status === 0 ? 2000 : 5000);
      },
    );
  };
  const listen = (kind: string, heard: (data: any) => void) =>
    stream!.addEventListener(kind, (event) => heard(JSON.parse((event as MessageEvent<string>).data)));
  listen("state", ({ job, state }) => {
    api.job(job).then((found) => {
      keep(found);
      if (!OPEN.has(state)) drop(job);
      refreshPlaces();
      if (mine.has(job)) tell(found);
    }, explain);
  });
  listen("progress", ({ job, step, steps, share, seconds_left }) => {
    const before = lives.value[job];
    const live: Live = { step, steps, share, secondsLeft: seconds_left, at: Date.now(), preview: before?.preview ?? null };
    lives.value = { ...lives.value, [job]: live };
  });
  listen("preview", ({ job, jpeg }) => {
    const before = lives.value[job];
    if (before) lives.value = { ...lives.value, [job]: { ...before, preview: `data:image/jpeg;base64,${jpeg}` } };
  });
  listen("picture", ({ job }) => {
    api.job(job).then(keep, explain);
  });
}

function drop(job: string): void {
  const { [job]: _, ...rest } = lives.value;
  lives.value = rest;
}

/** For people who hear the page. */
export const heard = signal("");
function tell(job: Job): void {
  if (job.state === "done") {
    heard.value = t("live.done", { count: job.pictures.length });
    if (shown.value === null || lastMine.value === job.id) shown.value = { job: job.id, index: 0 };
  }
  if (job.state === "failed") {
    heard.value = t("live.failed");
    say(`${t("job.failed")}: ${job.reason ?? ""}`, "bad");
  }
}

/** Ask for pictures: the job, or null where it was not accepted. */
export async function submit(task: Task, values: Values): Promise<Job | null> {
  try {
    const job = await api.submit(toJson(task, values));
    mine.add(job.id);
    lastMine.value = job.id;
    keep(job);
    shown.value = null;
    heard.value = t("live.asked");
    return job;
  } catch (error) {
    explain(error);
    return null;
  }
}

export async function cancelOne(job: Job): Promise<void> {
  try {
    keep(await api.cancel(job.id));
  } catch (error) {
    explain(error);
  }
}

/* ------------------------------------------------------------------------------------------- pictures go elsewhere */

/** The value of a picture's field: an upload. */
export interface Upload {
  sha256: string;
}

export async function uploadOf(url: string): Promise<Upload> {
  const picture = await (await fetch(url, { credentials: "same-origin" })).blob();
  return { sha256: await api.upload(picture) };
}

/** Take a picture to the Edit screen, with the words that made it; to the task that is chosen there, unless told. */
export async function sendTo(to: string | null, url: string, request?: Values): Promise<void> {
  try {
    const image = await uploadOf(url);
    const task = to ?? edit.value.task;
    const target = tasks.value.find((each) => each.name === task) ?? editTasks.value[0];
    if (!target) return;
    const first = target.fields.find((field) => (field.kind === "picture" || field.kind === "pictures") && field.required);
    const kept = request ? valuesOf(target, { prompt: request.prompt, negative: request.negative, model: request.model }) : {};
    const { mask: _mask, box: _box, ...before } = edit.value.values;
    const name = first?.name ?? "image";
    const value = first?.kind === "pictures" ? [image] : image;
    edit.value = { task: target.name, values: { ...before, ...kept, image, [name]: value } };
    go("edit");
  } catch (error) {
    explain(error);
  }
}

/** Whose form a grid varies. */
export const varies = stored<"paint" | "edit">("varies", "paint");

/** Put a request's settings into the form of its task. */
export function restore(request: Values, seed?: string): void {
  const task = tasks.value.find((each) => each.name === request.task) ?? paintTasks.value[0];
  if (!task) return;
  varies.value = beginsFromPicture(task) ? "edit" : "paint";
  const values = valuesOf(task, request);
  if (seed !== undefined) values.seed = seed;
  const draft = { task: task.name, values };
  if (beginsFromPicture(task)) {
    edit.value = draft;
    go("edit");
  } else {
    paint.value = draft;
    go("paint");
  }
  say(t("restored"));
}

export const sourceUrl = (value: unknown): string | null =>
  value && typeof value === "object" && "sha256" in value ? uploadUrl(String((value as Upload).sha256)) : null;

/* ------------------------------------------------------------------------------------------------------- figures */

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("time.seconds", { n: whole });
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return t("time.minutes", { n: minutes, s: String(whole % 60).padStart(2, "0") });
  return t("time.hours", { n: Math.floor(minutes / 60), m: String(minutes % 60).padStart(2, "0") });
}

export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toLocaleString(language.value, { maximumFractionDigits: value < 10 ? 1 : 0 })} ${units[unit]}`;
}

export function when(seconds: number): string {
  const date = new Date(seconds * 1000);
  const today = new Date().toDateString() === date.toDateString();
  return date.toLocaleString(language.value, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}
