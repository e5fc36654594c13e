/** What the page says, in the reader's language, from one catalogue. */

import { computed } from "@preact/signals";
import type { Field } from "./schema";
import { stored } from "./stored";
import { en, type Word } from "./words/en";
import { zh } from "./words/zh";
import { choicesEn, choicesZh } from "./words/choices";
import { fieldsEn, fieldsZh, tasksEn, tasksZh } from "./words/fields";

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

const preferred: Language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
export const chosen = stored<Language | "auto">("language", "auto");
export const language = computed<Language>(() => (chosen.value === "auto" ? preferred : chosen.value));

const catalogues: Record<Language, Record<Word, string>> = { en, zh };

export function t(word: Word, values: Record<string, string | number> = {}): string {
  return catalogues[language.value][word].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A field's name for readers; of one that the catalogue has not met, what its schema says. */
export function fieldTitle(field: Field): string {
  return wordsOf(field)?.[0] ?? field.title;
}

/** What the catalogue says of a field; of its namesake in another task nothing. */
function wordsOf(field: Field) {
  if (field.name === "top" && field.min === 1) return language.value === "zh" ? TOP_LABELS : undefined;
  return (language.value === "zh" ? fieldsZh : fieldsEn)[field.name];
}
const TOP_LABELS = ["前几名", "每张图说出几个标签"] as const;

/** A field's name for readers where only its name is known. */
export function nameOf(field: string): string {
  const words = field.replaceAll("_", " ").replace(/\b(psnr|ssim|fid)\b/g, (letters) => letters.toUpperCase());
  return (language.value === "zh" ? fieldsZh : fieldsEn)[field]?.[0] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

export function fieldHelp(field: Field): string {
  const help = wordsOf(field)?.[1] ?? onThePage(field.help);
  return help.charAt(0).toUpperCase() + help.slice(1);
}

/** A schema's help, without what only the command line has: options are called as their fields are here. */
function onThePage(help: string): string {
  return help
    .replace(/--([a-z][a-z-]*)/g, (_, option: string) => `“${nameOf(option.replaceAll("-", "_"))}”`)
    .replace(/ \(SFUMATO_\w+\)|; see `[^`]*`/g, "");
}

export function taskTitle(name: string): string {
  return (language.value === "zh" ? tasksZh : tasksEn)[name]?.[0] ?? name;
}

export function taskHelp(name: string, help: string): string {
  return (language.value === "zh" ? tasksZh : tasksEn)[name]?.[1] ?? help;
}

/** What a choice of a field means, in a line; empty where there is nothing to add. */
export function choiceHelp(field: string, choice: string): string {
  return (language.value === "zh" ? choicesZh : choicesEn)[`${field}.${choice}`] ?? "";
}
