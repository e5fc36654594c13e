import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { choicesEn, choicesZh } from "../src/words/choices";
import { en } from "../src/words/en";
import { fieldsEn, fieldsZh, tasksEn, tasksZh } from "../src/words/fields";
import { zh } from "../src/words/zh";

const folder = join(import.meta.dirname, "../src");
const sources = readdirSync(folder, { recursive: true })
  .map(String)
  .filter((name) => /\.tsx?$/.test(name) && !/words\//.test(name))
  .map((name) => readFileSync(join(folder, name), "utf8"))
  .join("\n");

it("says everything in both languages", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  expect(Object.keys(choicesZh)).toEqual(Object.keys(choicesEn));
  expect(Object.keys(tasksZh).sort()).toEqual(Object.keys(tasksEn).sort());
  expect(Object.keys(fieldsEn).filter((name) => !fieldsZh[name])).toEqual([]);
});

it("fills in the same values in both", () => {
  const places = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const word of Object.keys(en) as (keyof typeof en)[]) expect(places(zh[word]), word).toEqual(places(en[word]));
});

it("is Chinese where it should be", () => {
  const latin = Object.entries(zh).filter(([, text]) => !/[\u4e00-\u9fff]/.test(text));
  expect(latin.map(([word]) => word).sort()).toEqual(["edit.full", "kind.controls", "kind.ip_adapters", "kind.loras", "picture.alt"]);
});

it("has no word that nobody says", () => {
  const silent = Object.keys(en).filter((word) => {
    if (sources.includes(`"${word}"`)) return false;
    const family = word.slice(0, word.lastIndexOf(".") + 1);
    return !family || !sources.includes(`\`${family}\${`);
  });
  expect(silent).toEqual([]);
});
