import { expect, it } from "vitest";
import { choicesEn, choicesZh } from "../src/words/choices";
import { en } from "../src/words/en";
import { fieldsEn, fieldsZh, tasksEn, tasksZh } from "../src/words/fields";
import { zh } from "../src/words/zh";

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
  expect(latin.map(([word]) => word).sort()).toEqual(["edit.full", "kind.controls", "kind.loras", "picture.alt"]);
});
