/** Two pictures beside each other: a seam to move, their difference, and which settings differ. */

import { useEffect, useState } from "preact/hooks";
import { Diff } from "lucide-preact";
import { api } from "./api";
import type { Whole } from "./gallery";
import { differences, type Values } from "./schema";
import { Split } from "./split";
import { explain, sourceUrl } from "./state";
import { Button, Dialog, shaped, Skeleton } from "./ui";
import { nameOf, t, taskTitle } from "./words";

/** A picture and what made it. */
export interface Seen {
  url: string;
  width: number;
  height: number;
  request: Values | null;
}

export function Compare({ ids, close }: { ids: [string, string]; close: () => void }) {
  const [pair, set] = useState<Whole[] | null>(null);
  useEffect(() => {
    Promise.all(ids.map((id) => api.get<Whole>(`/api/v1/gallery/${id}`))).then(set, explain);
  }, ids);
  const [a, b] = pair ?? [];
  return <Dialog title={t("compare")} close={close} wide>{!a || !b ? <Skeleton rows={4} tall /> : <Pair a={a} b={b} />}</Dialog>;
}

export function Pair({ a, b }: { a: Seen; b: Seen }) {
  const [only, show] = useState(false);
  const found = differences(a.request, b.request);
  const cell = (name: string, { request }: Seen, text: string) => {
    const url = sourceUrl(request?.[name]);
    return <td dir="auto">{url ? <img class="thumb" src={url} alt={t("edit.before.alt")} /> : name === "task" ? taskTitle(text) : text}</td>;
  };
  return (
    <div class={`compare ${only ? "difference" : ""}`} ref={shaped(b)}>
      <Split before={a.url} after={b.url} width={b.width} height={b.height} />
      <div class="actions"><Button icon={Diff} aria-pressed={only} onClick={() => show(!only)}>{t("compare.difference")}</Button></div>
      {found.length === 0 ? <p class="soft">{t("compare.same")}</p> : (
        <table>
          <tbody>
            {found.map(([name, first, second]) => <tr key={name}><th scope="row">{name === "task" ? t("paint.task") : nameOf(name)}</th>{cell(name, a, first)}{cell(name, b, second)}</tr>)}
          </tbody>
        </table>
      )}
    </div>
  );
}
