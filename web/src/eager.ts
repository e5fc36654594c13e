/** Painting while somebody types: a quick picture of what is written so far, which is kept nowhere. */

import { effect, signal } from "@preact/signals";
import { api, ApiError } from "./api";
import { toJson, type Values } from "./schema";
import { connected, explain, paint, paintTasks, screen, shown, taskOf, waiting } from "./state";
import { stored } from "./stored";

/** Whether it is asked for. */
export const eager = stored("eager", false);
/** The latest, as an address of the browser's; null: none. */
export const sketch = signal<string | null>(null);

const PAUSE = 250; // milliseconds without a key
let asked = "";
let timer: ReturnType<typeof setTimeout> | undefined;

/** nano paints in one step; what takes minutes is no sketch. */
export const canSketch = (draft: { task: string; values: Values }): boolean =>
  draft.task === "txt2img" && String(draft.values.model ?? "nano") === "nano";

export function clear(): void {
  if (sketch.value) URL.revokeObjectURL(sketch.value);
  sketch.value = null;
}

async function draw(request: string): Promise<void> {
  try {
    const found = await api.sketch(request);
    if (found === null || request !== asked || !eager.value) return;
    clear();
    sketch.value = URL.createObjectURL(found);
    shown.value = null;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status === 0 || error.status >= 429) return; // the next key asks again
    if (request === asked) explain(error);
  }
}

effect(() => {
  const task = taskOf(paint.value, paintTasks.value);
  const { prompt, ...rest } = paint.value.values;
  const wanted = eager.value && connected.value && screen.value === "paint" && task && canSketch(paint.value) && String(prompt ?? "").trim();
  const busy = waiting.value.length > 0;
  clearTimeout(timer);
  if (!wanted || !task) {
    asked = "";
    return;
  }
  if (busy) return; // when the queue is empty, this runs again
  const request = toJson(task, { seed: "1", ...rest, prompt });
  if (request === asked) return;
  timer = setTimeout(() => {
    asked = request;
    void draw(request);
  }, PAUSE);
});
