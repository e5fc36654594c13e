/** Pictures that fall on the page: they are kept, and the settings of a single one are restored. */

import { signal } from "@preact/signals";
import { api } from "./api";
import { begin, bring } from "./gallery";
import { nameAmong, type Values } from "./schema";
import { adapters, go, models, restore, say } from "./state";
import { Button, Dialog } from "./ui";
import { t } from "./words";

export async function dropped(...files: Blob[]): Promise<void> {
  const [file] = files;
  if (!file) return;
  if (files.length > 1) {
    let kept = 0;
    for (const each of files) if (await bring(each)) kept++;
    if (kept) say(t("drop.many", { n: kept }));
    go("gallery");
    void begin();
    return;
  }
  const found = await bring(file);
  if (!found) return;
  if (!found.request) {
    say(t("drop.none"));
    go("gallery");
    void begin();
    return;
  }
  const lines = await api.get<string[]>(`/api/v1/gallery/${found.id}/unrestored`).catch((): string[] => []);
  const request: Values = { ...found.request, task: found.task || found.request.task };
  const here = (models.value ?? []).map((each) => each.name);
  request.model = nameAmong(here, found.model);
  if (found.model && !request.model) lines.push(t("drop.model", { name: found.model, usual: here[0] ?? "" }));
  const gone = found.loras.filter((name) => !nameAmong(adapters.value.loras ?? [], name));
  lines.push(...gone.map((name) => t("drop.lora", { name })));
  restore(request, found.seed ?? undefined);
  if (lines.length) lost.value = { tool: found.tool, lines };
}

/** Offers the settings of a picture that is taken for something else, where it says how it was made. */
export async function offer(file: Blob | undefined | null): Promise<void> {
  if (!file) return;
  const image = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(file);
  });
  const told = await api.post<{ items: object }>("/sdapi/v1/png-info", { image }).catch(() => null);
  if (told && Object.keys(told.items).length) say(t("drop.offer"), "said", { label: t("act.settings"), run: () => void dropped(file) });
}

/** What of a dropped picture's settings could not be restored. */
const lost = signal<{ tool: string; lines: string[] } | null>(null);

export function Lost() {
  if (!lost.value) return null;
  return (
    <Dialog title={t("drop.unrestored")} close={() => (lost.value = null)}>
      <p class="soft">{t("drop.unrestored.help", { tool: lost.value.tool })}</p>
      <ul class="lines">{lost.value.lines.map((line) => <li key={line} dir="auto">{line}</li>)}</ul>
      <div class="actions"><Button kind="main" onClick={() => (lost.value = null)}>{t("close")}</Button></div>
    </Dialog>
  );
}
