/** An animation: frames that are painted one after the other, each from the one before. */

import { computed, effect } from "@preact/signals";
import { api, type Job } from "./api";
import type { Values } from "./schema";
import { explain, jobs, keep, loaded, submit, tasks, uploadOf, type Upload } from "./state";
import { stored } from "./stored";

/** The task whose request paints a frame from another. */
export const FRAME = "follow";
export const MOST_FRAMES = 240;

export interface Film {
  values: Values;
  first: Upload;
  frames: number;
  /** One a frame, in their order. */
  jobs: string[];
  stopped: boolean;
}

/** Of this tab alone, so that two of them do not paint the same frame. */
export const film = stored<Film | null>("film", null, () => sessionStorage);
export const reel = stored("reel", { frames: 1, fps: 8 });

export const finished = computed(() => film.value?.jobs.flatMap((id) => jobs.value[id]?.pictures.slice(0, 1) ?? []) ?? []);
export const goes = computed(() => film.value !== null && !film.value.stopped && finished.value.length < film.value.frames);

/** What the next frame begins from; null while there is nothing to do, "stop" when nothing will come. */
export function following(now: Film, known: Record<string, Job>): { url: string | null; seed: string | null } | "stop" | null {
  if (now.stopped || now.jobs.length >= now.frames) return null;
  const last = now.jobs.at(-1);
  if (last === undefined) return { url: null, seed: null };
  const job = known[last];
  if (!job) return null;
  if (job.state === "failed" || job.state === "cancelled") return "stop";
  const picture = job.pictures[0];
  if (job.state !== "done" || !picture) return null;
  return { url: picture.url, seed: String((BigInt(picture.seed) + 1n) % 2n ** 64n) }; // noise that stays leaves marks
}

export function begin(values: Values, first: Upload, frames: number): void {
  film.value = { values, first, frames, jobs: [], stopped: false };
}

export function stop(): void {
  if (film.value) film.value = { ...film.value, stopped: true };
}

let busy = false;
async function advance(): Promise<void> {
  const now = film.value;
  const task = tasks.value.find((each) => each.name === FRAME);
  if (!now || !task || !loaded.value || busy) return;
  busy = true;
  try {
    const unknown = now.jobs.filter((id) => !jobs.value[id]);
    if (unknown.length) keep(...(await Promise.all(unknown.map(api.job))));
    const next = following(now, jobs.value);
    if (next === "stop") stop();
    if (next === null || next === "stop") return;
    const image = next.url === null ? now.first : await uploadOf(next.url);
    const job = await submit(task, { ...now.values, image, count: 1, ...(next.seed === null ? {} : { seed: next.seed }) });
    if (film.value !== now) return;
    film.value = job ? { ...now, jobs: [...now.jobs, job.id] } : { ...now, stopped: true };
  } catch (error) {
    explain(error);
    stop();
  } finally {
    busy = false;
  }
}
effect(() => {
  void film.value;
  void jobs.value;
  void tasks.value;
  queueMicrotask(() => void advance());
});

/** The frames as a file that moves. */
export function movingUrl(ids: string[], fps: number, format: string): string {
  const asked = new URLSearchParams(ids.map((id) => ["ids", `${id}-0`]));
  asked.set("fps", String(fps));
  asked.set("format", format);
  return `/api/v1/gallery/animation?${asked}`;
}
