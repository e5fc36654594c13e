/** Words that a model knows, to choose from; they write the prompt. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { Sparkles } from "lucide-preact";
import { api } from "./api";
import { Button, Dialog, Skeleton } from "./ui";
import { attributes, compose, surprise, type About, type Chosen } from "./wording";
import { explain } from "./state";
import { language, t } from "./words";
import { attributesZh, kindsZh } from "./words/attributes";

const known = signal<Record<string, About>>({});

/** What a model knows, asked for once; null until it is there, and of a model that does not say. */
export function useAbout(model: string): About | null {
  useEffect(() => {
    if (known.value[model]) return;
    api.get<{ about: About }>(`/api/v1/models/${encodeURIComponent(model)}`).then((found) => (known.value = { ...known.value, [model]: found.about }), explain);
  }, [model]);
  const about = known.value[model];
  return about && Object.keys(about).length ? about : null;
}

export const inWords = (key: string) => (language.value === "zh" ? attributesZh[key] : undefined) ?? key.replaceAll("_", " ");
const kindName = (kind: string) => (language.value === "zh" ? kindsZh[kind] : undefined) ?? kind;

export function Picker({ model, use, close }: { model: string; use: (prompt: string) => void; close: () => void }) {
  const about = useAbout(model);
  const [chosenKind, setKind] = useState("portrait");
  const kind = about?.[chosenKind] ? chosenKind : (Object.keys(about ?? {})[0] ?? "");
  const [chosen, setChosen] = useState<Chosen>({});
  const prompt = about ? compose(about, kind, chosen) : "";
  const choose = (key: string, value: string) => {
    const next = { ...chosen };
    if (value) next[key] = value;
    else delete next[key];
    setChosen(next);
  };
  return (
    <Dialog title={t("picker", { model })} close={close} wide>
      {!about ? <Skeleton rows={5} /> : (
        <div class="picker">
          <div class="tabs" role="group" aria-label={t("picker.kind")}>
            {Object.keys(about).map((each) => (
              <button type="button" key={each} aria-pressed={each === kind} onClick={() => { setKind(each); setChosen({}); }}>{kindName(each)}</button>
            ))}
          </div>
          <div class="attributes">
            {attributes(about, kind).map((key) => {
              const values = about[kind]![key]!;
              const colours = about[kind]![`${key}_color`];
              return (
                <div class="attribute" key={key}>
                  <label>
                    <span>{inWords(key)}</span>
                    {values.length > 200 ? (
                      <>
                        <input type="search" list={`known-${key}`} placeholder={t("picker.search")} value={chosen[key] ?? ""} onInput={(event) => choose(key, event.currentTarget.value)} />
                        <datalist id={`known-${key}`}>{values.map((value) => <option key={value} value={value} />)}</datalist>
                      </>
                    ) : (
                      <select value={chosen[key] ?? ""} onChange={(event) => choose(key, event.currentTarget.value)}>
                        <option value="">{t("picker.any")}</option>
                        {values.map((value) => <option key={value} value={value}>{value}</option>)}
                      </select>
                    )}
                  </label>
                  {colours && chosen[key] && (
                    <label>
                      <span class="hidden">{inWords(`${key}_color`)}</span>
                      <select value={chosen[`${key}_color`] ?? ""} onChange={(event) => choose(`${key}_color`, event.currentTarget.value)}>
                        <option value="">{t("picker.any")}</option>
                        {colours.map((value) => <option key={value} value={value}>{value}</option>)}
                      </select>
                    </label>
                  )}
                </div>
              );
            })}
          </div>
          <p class="composed" aria-live="polite">{prompt}</p>
          <div class="actions">
            <Button icon={Sparkles} onClick={() => setChosen(surprise(about, kind))}>{t("picker.surprise")}</Button>
            <Button kind="main" disabled={!prompt} onClick={() => { use(prompt); close(); }}>{t("picker.use")}</Button>
          </div>
        </div>
      )}
    </Dialog>
  );
}
