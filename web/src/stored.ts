/** Signals that are remembered by the browser. */

import { effect, signal, type Signal } from "@preact/signals";

/** Kept for good, or as long as its tab where `place` is the session's. */
export function stored<T>(name: string, initial: T, place: () => Storage = () => localStorage): Signal<T> {
  const key = `sfumato.${name}`;
  const found = signal(initial);
  try {
    const text = place().getItem(key);
    if (text !== null) found.value = JSON.parse(text) as T;
  } catch {
    /* nothing was kept, or nothing can be: the page works without */
  }
  let first = true;
  effect(() => {
    const text = JSON.stringify(found.value);
    if (first) {
      first = false;
      return;
    }
    try {
      place().setItem(key, text);
    } catch {
      /* private windows may refuse */
    }
  });
  return found;
}
