/** Weights in prompts by Ctrl+Up and Ctrl+Down, as A1111's page has them: (words:1.1). */

export interface Selected {
  text: string;
  start: number;
  end: number;
}

const STEP = 0.1;
const SPACE = /[\s,()[\]{}<>|:]/;

/** The text with the weight of the selected words, or of the word at the cursor, changed by steps of a tenth. */
export function weighted({ text, start, end }: Selected, steps: number): Selected {
  if (start === end) {
    const around = enclosing(text, start);
    if (around) [start, end] = around;
    else {
      while (start > 0 && !SPACE.test(text[start - 1]!)) start--;
      while (end < text.length && !SPACE.test(text[end]!)) end++;
    }
  }
  while (start < end && /\s/.test(text[start]!)) start++;
  while (end > start && /\s/.test(text[end - 1]!)) end--;
  if (start === end) return { text, start, end };
  const inside = /^\((.*):([+-]?[\d.]+)\)$/s.exec(text.slice(start, end));
  if (inside) {
    start += 1;
    end = start + inside[1]!.length;
  }
  const behind = /^:([+-]?[\d.]+)\)/.exec(text.slice(end));
  const has = text[start - 1] === "(" && behind !== null;
  const weight = has ? Number(behind[1]) : 1;
  const next = Math.round((weight + steps * STEP) * 100) / 100;
  const words = text.slice(start, end);
  const before = text.slice(0, has ? start - 1 : start);
  const after = text.slice(has ? end + behind[0].length : end);
  if (next === 1) return { text: before + words + after, start: before.length, end: before.length + words.length };
  return {
    text: `${before}(${words}:${next})${after}`,
    start: before.length + 1,
    end: before.length + 1 + words.length,
  };
}

function enclosing(text: string, place: number): [number, number] | null {
  const open = text.lastIndexOf("(", place - 1);
  if (open < 0) return null;
  const found = /^\(([^()]*):([+-]?[\d.]+)\)/.exec(text.slice(open));
  if (!found || open + found[0].length <= place) return null;
  return [open + 1, open + 1 + found[1]!.length];
}
