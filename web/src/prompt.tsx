/** A field for prompts: grows with its text, counts tokens, changes weights by keys. */

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { api } from "./api";
import { connected } from "./state";
import { weighted } from "./weights";
import { t } from "./words";

interface Reading {
  tokens: number;
  windows: number[];
  room: number;
  unknown: string[];
  caption: string;
}

const readings = signal<Record<string, Reading>>({});
const asked = new Set<string>();

function keyOf(text: string, model: string): string {
  return `${model}\0${text}`;
}

async function read(text: string, model: string): Promise<void> {
  const key = keyOf(text, model);
  if (asked.has(key)) return;
  asked.add(key);
  try {
    const found = await api.post<Reading>("/api/v1/prompts", { text, model });
    readings.value = { ...readings.value, [key]: found };
  } catch {
    asked.delete(key);
    /* a counter is no reason to say anything */
  }
}

interface PromptProps {
  id: string;
  value: string;
  set: (text: string) => void;
  model: string;
  main: boolean;
  placeholder: string;
}

export function Prompt({ id, value, set, model, main, placeholder }: PromptProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const selection = useRef<[number, number] | null>(null);
  useLayoutEffect(() => {
    const place = area.current;
    if (!place) return;
    if (selection.current) place.setSelectionRange(...selection.current);
    selection.current = null;
    place.style.height = "auto";
    if (place.scrollHeight) place.style.height = `${Math.min(place.scrollHeight + 2, 360)}px`; // in a dialog that is not open yet it has none
  }, [value]);
  useEffect(() => {
    if (!value.trim()) return;
    const timer = setTimeout(() => void read(value, model), 300);
    return () => clearTimeout(timer);
  }, [value, model, connected.value]);
  const found = value.trim() ? readings.value[keyOf(value, model)] : undefined;
  return (
    <>
      <textarea
        ref={area}
        id={id}
        class={main ? "prompt main" : "prompt"}
        rows={main ? 4 : 2}
        maxLength={8192}
        spellcheck={false}
        dir="auto"
        value={value}
        placeholder={placeholder}
        onInput={(event) => set(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (!(event.ctrlKey || event.metaKey) || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
          event.preventDefault();
          const { value: text, selectionStart: start, selectionEnd: end } = event.currentTarget;
          const next = weighted({ text, start, end }, event.key === "ArrowUp" ? 1 : -1);
          selection.current = [next.start, next.end];
          set(next.text);
        }}
      />
      {found && (
        <div class="counter">
          <span class="meter" aria-hidden="true">
            {found.windows.map((count, place) => (
              <i key={place}><b ref={(bar) => void (bar && (bar.style.width = `${Math.min(100, (100 * count) / found.room)}%`))} /></i>
            ))}
          </span>
          <span>{found.windows.length > 1 ? t("tokens.windows", { n: found.tokens, count: found.windows.length, room: found.room }) : t("tokens", { n: found.tokens, room: found.room })}</span>
        </div>
      )}
      {found && main && found.caption && <p class="help"><span>{t("caption", { model })}</span> <q dir="auto">{found.caption}</q></p>}
      {found && main && found.unknown.length > 0 && <p class="help unknown">{t("tokens.unknown", { model, words: found.unknown.slice(0, 6).join(", ") })}</p>}
    </>
  );
}
