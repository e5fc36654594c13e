/** The gallery as the page keeps it: what was asked for, the pages that came, what is chosen. */

import { signal } from "@preact/signals";
import { api } from "./api";
import { explain, say } from "./state";
import type { Values } from "./schema";
import { stored } from "./stored";
import { t } from "./words";

export interface Piece {
  id: string;
  url: string;
  thumbnail: string;
  job: string | null;
  index: number | null;
  tool: string;
  exact: boolean;
  task: string;
  prompt: string;
  negative: string;
  model: string;
  seed: string | null;
  width: number;
  height: number;
  rating: number;
  tags: string[];
  boards: string[];
  loras: string[];
  created: number;
  trashed: number | null;
}

export interface Whole extends Piece {
  request: Values | null;
  parents: Piece[];
  children: Piece[];
}

export interface Asked {
  q: string;
  model: string;
  tag: string;
  board: string;
  task: string;
  rating: number;
  sort: string;
  trash: boolean;
}

export const ALL: Asked = { q: "", model: "", tag: "", board: "", task: "", rating: 0, sort: "newest", trash: false };
export const asked = stored<Asked>("gallery", ALL);
export const pieces = signal<Piece[] | null>(null);
export const total = signal(0);
export const facets = signal<Record<string, Record<string, number>>>({});
export const marked = signal<ReadonlySet<string>>(new Set());
export const opened = signal<Whole | null>(null);

let next: string | null = null;
let asking = false;
let turn = 0;

export function query(what: Asked, after: string | null): string {
  const found = new URLSearchParams({ limit: "60", sort: what.sort });
  for (const name of ["q", "model", "tag", "board", "task"] as const) if (what[name].trim()) found.set(name, what[name].trim());
  if (what.rating) found.set("rating", String(what.rating));
  if (what.trash) found.set("trash", "true");
  if (after) found.set("after", after);
  else found.set("count", "true");
  return found.toString();
}

export async function begin(): Promise<void> {
  const mine = ++turn;
  asking = true;
  try {
    const page = await api.get<{ pictures: Piece[]; next: string | null; total: number | null }>(`/api/v1/gallery?${query(asked.value, null)}`);
    if (mine !== turn) return;
    pieces.value = page.pictures;
    total.value = page.total ?? page.pictures.length;
    next = page.next;
    facets.value = await api.get("/api/v1/gallery/facets");
  } catch (error) {
    explain(error);
  } finally {
    if (mine === turn) asking = false;
  }
}

export async function more(): Promise<void> {
  if (asking || next === null) return;
  const mine = turn;
  asking = true;
  try {
    const page = await api.get<{ pictures: Piece[]; next: string | null }>(`/api/v1/gallery?${query(asked.value, next)}`);
    if (mine !== turn) return;
    pieces.value = [...(pieces.value ?? []), ...page.pictures];
    next = page.next;
  } catch (error) {
    explain(error);
  } finally {
    asking = false;
  }
}

export function ask(change: Partial<Asked>): void {
  asked.value = { ...asked.value, ...change };
  marked.value = new Set();
  void begin();
}

export async function open(id: string): Promise<void> {
  try {
    opened.value = await api.get<Whole>(`/api/v1/gallery/${id}`);
  } catch (error) {
    explain(error);
  }
}

function put(changed: Piece): void {
  pieces.value = (pieces.value ?? []).map((each) => (each.id === changed.id ? changed : each));
  if (opened.value?.id === changed.id) opened.value = { ...opened.value, ...changed };
}

export async function change(id: string, values: { rating?: number; tags?: string[]; boards?: string[] }): Promise<void> {
  try {
    put(await api.patch<Piece>(`/api/v1/gallery/${id}`, values));
    facets.value = await api.get("/api/v1/gallery/facets");
  } catch (error) {
    explain(error);
  }
}

export async function changeMany(values: { rating?: number; add_tags?: string[]; add_boards?: string[] }, ids: string[] = [...marked.value]): Promise<void> {
  try {
    await api.patch("/api/v1/gallery", { ids, ...values });
    await begin();
  } catch (error) {
    explain(error);
  }
}

/** Into the trash, or out of it; either can be taken back. */
export async function move(ids: string[], to: "trash" | "restore"): Promise<void> {
  try {
    await api.post(`/api/v1/gallery/${to}`, { ids });
    const gone = new Set(ids);
    pieces.value = (pieces.value ?? []).filter((each) => !gone.has(each.id));
    total.value -= ids.length;
    marked.value = new Set();
    if (opened.value && gone.has(opened.value.id)) opened.value = null;
    const back = to === "trash" ? "restore" : "trash";
    undo = () => void move(ids, back).then(begin);
    if (to === "trash") say(t("gallery.trashed", { n: ids.length }), "said", { label: t("edit.undo"), run: undo });
  } catch (error) {
    explain(error);
  }
}
export let undo: () => void = () => undefined;

export async function erase(ids: string[]): Promise<void> {
  try {
    await api.post("/api/v1/gallery/erase", { ids });
    opened.value = null;
    marked.value = new Set();
    await begin();
  } catch (error) {
    explain(error);
  }
}

/** Bring a picture of whatever program; its entry, with the request that was read from it. */
export async function bring(file: Blob): Promise<Whole | null> {
  try {
    const answer = await fetch("/api/v1/gallery/import", { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error.message);
    return await api.get<Whole>(`/api/v1/gallery/${(found as Piece).id}`);
  } catch (error) {
    explain(error);
    return null;
  }
}
