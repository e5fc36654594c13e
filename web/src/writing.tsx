/** What prompts are written with: styles, wildcards, and what adapters are called by. */

import { signal } from "@preact/signals";
import { Check, Palette, X } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { api } from "./api";
import { explain, models } from "./state";
import { stored } from "./stored";
import { isTemplate } from "./templates";
import { Button, Dialog, Empty, Skeleton } from "./ui";
import { t } from "./words";

interface Style {
  name: string;
  prompt: string;
  negative: string;
}
interface Words {
  styles: Style[];
  wildcards: Record<string, string[]>;
}
export interface Adapter {
  name: string;
  bytes: number;
  triggers: string[];
  preview: string | null;
}

/** Names of the styles that every prompt is painted in. */
export const styles = stored<string[]>("styles", []);
const picking = signal(false);

/** The prompts of so many pictures: within the styles, each with its own draw; null where they stay as they are. */
export async function writtenOut(prompt: string, negative: string, count: number, seed?: string): Promise<{ prompt: string; negative: string; pictures: number }[] | null> {
  const drawn = isTemplate(prompt) || isTemplate(negative);
  if (!drawn && styles.value.length === 0) return null;
  const draws = drawn ? count : 1;
  const found: { prompt: string; negative: string; pictures: number }[] = [];
  for (let i = 0; i < draws; i++) {
    const asked = { prompt, negative, styles: styles.value, ...(seed === undefined ? {} : { seed: Number(BigInt(seed) % 4294967296n) + i }) };
    found.push({ ...(await api.post<{ prompt: string; negative: string }>("/api/v1/words", asked)), pictures: drawn ? 1 : count });
  }
  return found;
}

export function StyleButton({ write }: { write: (words: string) => void }) {
  const drop = (name: string) => (styles.value = styles.value.filter((each) => each !== name));
  return (
    <>
      <Button kind="quiet" icon={Palette} onClick={() => (picking.value = true)}>{t("styles")}</Button>
      {styles.value.map((name) => <Button key={name} class="tag" icon={X} label={`${t("remove")}: ${name}`} onClick={() => drop(name)}>{name}</Button>)}
      {picking.value && <Shelf write={write} close={() => (picking.value = false)} />}
    </>
  );
}

function Shelf({ write, close }: { write: (words: string) => void; close: () => void }) {
  const [found, set] = useState<Words | null>(null);
  useEffect(() => void api.get<Words>("/api/v1/words").then(set, explain), []);
  const toggle = (name: string) => (styles.value = styles.value.includes(name) ? styles.value.filter((each) => each !== name) : [...styles.value, name]);
  return (
    <Dialog title={t("styles")} close={close} wide>
      {!found ? <Skeleton rows={4} tall /> : (
        <>
          <h3>{t("styles.styles")}</h3>
          {found.styles.length === 0 ? <Empty title={t("styles.none")}><p>{t("styles.none.help")}</p></Empty> : (
            <div class="shelf">
              {found.styles.map((style) => (
                <button type="button" key={style.name} aria-pressed={styles.value.includes(style.name)} onClick={() => toggle(style.name)}>
                  <strong>{styles.value.includes(style.name) && <Check size={14} aria-hidden="true" />}{style.name}</strong>
                  <span class="help">{style.prompt || "–"}{style.negative && ` − ${style.negative}`}</span>
                </button>
              ))}
            </div>
          )}
          <h3>{t("styles.wildcards")}</h3>
          {Object.keys(found.wildcards).length === 0 ? <Empty title={t("styles.wildcards.none")}><p>{t("styles.wildcards.help")}</p></Empty> : (
            <div class="shelf">
              {Object.entries(found.wildcards).map(([name, values]) => (
                <button type="button" key={name} onClick={() => { write(`__${name}__`); close(); }}>
                  <strong>__{name}__</strong>
                  <span class="help">{values.slice(0, 8).join(", ")}{values.length > 8 && " …"}</span>
                </button>
              ))}
            </div>
          )}
        </>
      )}
    </Dialog>
  );
}

/* ------------------------------------------------------------------------------------------------------ adapters */

const known = signal<Record<string, Adapter[]>>({});

/** What is known of adapters of a sort, or of the models; asked for when it is first shown. */
export function useAdapters(sort: string): Adapter[] | undefined {
  const missing = sort !== "models" && !known.value[sort];
  useEffect(() => {
    if (missing) api.get<Adapter[]>(`/api/v1/adapters/${sort}`).then((found) => (known.value = { ...known.value, [sort]: found }), explain);
  }, [sort, missing]);
  return sort === "models" ? models.value?.map((model) => ({ ...model, triggers: [] })) : known.value[sort];
}

/** There may be others now. */
export function askAgain(): void {
  known.value = {};
}

export function Cards({ sort, title, chosen, choose, close }: { sort: string; title: string; chosen: string[]; choose: (name: string) => void; close: () => void }) {
  const found = useAdapters(sort);
  const [words, set] = useState("");
  const seen = found?.filter((each) => each.name.toLowerCase().includes(words.toLowerCase()));
  return (
    <Dialog title={title} close={close} wide>
      {!seen ? <Skeleton rows={3} tall /> : (
        <>
          {found!.length > 8 && <input type="search" aria-label={t("adapters.search")} placeholder={t("adapters.search")} value={words} onInput={(event) => set(event.currentTarget.value)} />}
          <div class="shelf pictures">
            {seen.map((each) => (
              <button type="button" key={each.name} aria-pressed={chosen.includes(each.name)} onClick={() => choose(each.name)}>
                <Thumb adapter={each} />
                <strong>{each.name}</strong>
                {each.triggers.length > 0 && <span class="help">{each.triggers.slice(0, 4).join(", ")}</span>}
              </button>
            ))}
          </div>
          {seen.length === 0 && <p class="soft">{t("gallery.nothing")}</p>}
        </>
      )}
    </Dialog>
  );
}

/** What nano has painted. */
export const SAMPLE = new URL("./sample.webp", import.meta.url).href;

export function Thumb({ adapter }: { adapter: Adapter | undefined }) {
  const picture = adapter?.preview ?? (adapter?.name === "nano" ? SAMPLE : null);
  if (picture) return <img class={`thumb ${picture === SAMPLE ? "row-of" : ""}`} src={picture} alt="" loading="lazy" />;
  return <span class="thumb letter" aria-hidden="true">{adapter?.name.slice(0, 1).toUpperCase()}</span>;
}
