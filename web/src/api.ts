/** The service's API. Every failure is an ApiError that says what to do. */

import { signal } from "@preact/signals";
import { parseJson, type Schema, type Values } from "./schema";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export type JobState = "queued" | "paused" | "running" | "cancelling" | "done" | "failed" | "cancelled";

export interface PictureShown {
  index: number;
  seed: string;
  width: number;
  height: number;
  url: string;
}

/** What a task found out, beside its pictures or in their place. */
export interface Findings {
  answer: string;
  rows: Record<string, string | number | null>[];
  remarks: string[];
}

export interface Job {
  id: string;
  number: number;
  state: JobState;
  task: string;
  request: Values;
  priority: number;
  position: number | null;
  seconds_left: number | null;
  progress: number;
  attempts: number;
  reason: string | null;
  created: number;
  started: number | null;
  finished: number | null;
  pictures: PictureShown[];
  report: { provenance?: { caption?: string }; report?: Findings } | null;
  /** When this was asked for, among all requests of the page: answers come in any order. */
  asked: number;
}

export interface Model {
  name: string;
  family: string;
  bytes: number;
  description: string;
  size: number | null;
  licence: string | null;
  preview: string | null;
}

/** What `sfumato inspect` says of a file; of a model fewer facts are there than of a LoRA. */
export interface Report {
  container: string;
  size_bytes: number;
  sha256: string;
  kind: string;
  family: string;
  format: string;
  metadata: Record<string, string>;
  names: Record<string, string[]>;
  verdict: string;
  good: boolean;
  [fact: string]: unknown;
}

export interface Status {
  version: string;
  uptime: number;
  queue_limit: number;
  jobs: Record<string, number>;
  worker: { up: boolean; peak_bytes: number; crashes: number };
  machine: { cores: number; load: number | null; memory_bytes: number; memory_free_bytes: number; disk_free_bytes: number };
}

/** Whether the service asks for a token that this browser has not shown. */
export const locked = signal(false);

async function call(method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { method, body, headers, credentials: "same-origin" });
  } catch {
    throw new ApiError(0, "offline");
  }
  if (answer.ok) return answer;
  let message = answer.statusText;
  try {
    message = parseJson(await answer.text()).error.message;
  } catch {
    /* an answer of something in between; its status says enough */
  }
  if (answer.status === 401) locked.value = true;
  const after = Number(answer.headers.get("Retry-After"));
  throw new ApiError(answer.status, message, after > 0 ? after : null);
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const sent = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const answer = await call(method, path, sent, sent === undefined ? {} : { "Content-Type": "application/json" });
  return (answer.status === 204 ? undefined : parseJson(await answer.text())) as T;
}

let requests = 0;
async function asked<T extends Job | Job[]>(method: string, path: string, body?: unknown): Promise<T> {
  const now = ++requests;
  const found = await json<T>(method, path, body);
  for (const job of [found].flat() as Job[]) job.asked = now;
  return found;
}

export const api = {
  get: <T>(path: string) => json<T>("GET", path),
  post: <T>(path: string, body?: unknown) => json<T>("POST", path, body),
  patch: <T>(path: string, body: unknown) => json<T>("PATCH", path, body),
  put: <T>(path: string, body: unknown) => json<T>("PUT", path, body),
  remove: <T>(path: string, body?: unknown) => json<T>("DELETE", path, body),

  tasks: () => json<Record<string, Schema>>("GET", "/api/v1/tasks"),
  models: () => json<Model[]>("GET", "/api/v1/models"),
  adapters: () => json<Record<string, string[]>>("GET", "/api/v1/adapters"),
  found: (path: string) => json<{ sort: string; name: string }>("POST", "/api/v1/models", { path }),
  report: (sort: string, name: string, model = "") => json<Report>("GET", `/api/v1/${sort === "models" ? "" : "adapters/"}${sort}/${encoded(name)}/report${model && `?model=${encodeURIComponent(model)}`}`),
  jobs: (query = "limit=60") => asked<Job[]>("GET", `/api/v1/jobs?${query}`),
  job: (id: string) => asked<Job>("GET", `/api/v1/jobs/${id}`),
  submit: (request: string) => asked<Job>("POST", "/api/v1/jobs", request),
  /** A quick picture; null where a later one took its place. */
  sketch: async (request: string): Promise<Blob | null> => {
    const answer = await call("POST", "/api/v1/sketches", request, { "Content-Type": "application/json" });
    return answer.status === 204 ? null : answer.blob();
  },
  cancel: (id: string) => asked<Job>("POST", `/api/v1/jobs/${id}/cancel`),
  retry: (id: string) => asked<Job>("POST", `/api/v1/jobs/${id}/retry`),
  pause: (id: string) => asked<Job>("POST", `/api/v1/jobs/${id}/pause`),
  resume: (id: string) => asked<Job>("POST", `/api/v1/jobs/${id}/resume`),
  queue: () => json<{ paused: boolean }>("GET", "/api/v1/queue"),
  hold: (paused: boolean) => json<{ paused: boolean }>("PATCH", "/api/v1/queue", { paused }),
  prefer: (id: string, priority: number) => asked<Job>("PATCH", `/api/v1/jobs/${id}`, { priority }),
  status: () => json<Status>("GET", "/api/v1/status"),

  async upload(picture: Blob): Promise<string> {
    const answer = await call("POST", "/api/v1/uploads", picture, {
      "Content-Type": picture.type.startsWith("image/") ? picture.type : "application/octet-stream",
    });
    return ((await answer.json()) as { sha256: string }).sha256;
  },

  async enter(token: string): Promise<void> {
    await call("POST", "/api/v1/session", undefined, { Authorization: `Bearer ${token}` });
    locked.value = false;
  },
};

/** A name within an address; its slashes part folders. */
const encoded = (name: string) => name.split("/").map(encodeURIComponent).join("/");

export const uploadUrl = (sha256: string) => `/api/v1/uploads/${sha256}`;
