import { expect, it } from "vitest";
import { weighted } from "../src/weights";

const cases: [string, string, number, string][] = [
  ["a [red] fox", "selected words", 1, "a (red:1.1) fox"],
  ["a (|red|:1.1) fox", "inside of brackets", 1, "a (red:1.2) fox"],
  ["a (|red|:1.1) fox", "back to one", -1, "a red fox"],
  ["a r^ed fox", "the word at the cursor", 1, "a (red:1.1) fox"],
  ["a (big red^ hat:1.3) fox", "the brackets around the cursor", 1, "a (big red hat:1.4) fox"],
  ["a [red ]fox", "no white space", -1, "a (red:0.9) fox"],
];

it.each(cases)("%s: %s by %i", (marked, _what, steps, right) => {
  const open = marked.search(/[[|^]/);
  const close = marked.slice(open + 1).search(/[\]|]/) + open;
  const point = marked.includes("^");
  const text = marked.replace(/[[\]|^]/g, "");
  const found = weighted({ text, start: open, end: point ? open : close }, steps);
  expect(found.text).toBe(right);
  expect(/^\S.*\S$/.test(found.text.slice(found.start, found.end))).toBe(true);
});
