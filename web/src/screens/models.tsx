import { signal } from "@preact/signals";
import { Check, CircleAlert, Copy, FolderOpen, Paintbrush, ScanSearch } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { api, type Model, type Report } from "../api";
import { copy } from "../stage";
import { adapters, bytes, explain, go, loadCatalogue, models, paint, say } from "../state";
import { Button, Dialog, Empty, Skeleton } from "../ui";
import { language, t } from "../words";
import { askAgain, Thumb, useAdapters } from "../writing";
import { en, type Word } from "../words/en";

interface Place {
  sort: string;
  name: string;
}
const looking = signal<Place | null>(null);

export function Models() {
  const found = models.value;
  return (
    <div class="screen page" tabIndex={0}>
      <h1>{t("nav.models")}</h1>
      <p class="soft">{t("models.help")}</p>
      <ByPath />
      {found === null ? <Skeleton rows={2} tall /> : found.length === 0 ? <Empty title={t("models.empty")} /> : (
        <ul class="cards">
          {found.map((model) => (
            <li class="card" key={model.name}>
              <div class="joined"><Thumb adapter={{ ...model, triggers: [] }} /><h2>{model.name}</h2></div>
              <p class="soft">{origin(model.description)}</p>
              <dl>
                {model.family !== "one file" && <><dt>{t("models.family")}</dt><dd>{model.family}</dd></>}
                {model.size && <><dt>{t("models.size")}</dt><dd>{model.size} × {model.size}</dd></>}
                <dt>{t("models.bytes")}</dt><dd>{bytes(model.bytes)}</dd>
                {model.licence && <><dt>{t("models.licence")}</dt><dd>{model.licence}</dd></>}
              </dl>
              <div class="actions">
                <Use place={{ sort: "models", name: model.name }} />
                <Button icon={ScanSearch} aria-label={`${t("models.look")}: ${model.name}`} onClick={() => (looking.value = { sort: "models", name: model.name })}>{t("models.look")}</Button>
              </div>
            </li>
          ))}
        </ul>
      )}
      <h2>{t("models.adapters")}</h2>
      <div class="cards">
        {Object.entries(adapters.value).map(([kind, names]) => (
          <section class="card" key={kind}>
            <h3>{kindTitle(kind)}</h3>
            {names.length === 0 ? <p class="soft">{t("none")}</p> : <Files sort={kind} names={names} />}
          </section>
        ))}
      </div>
      {looking.value && <Look key={JSON.stringify(looking.value)} place={looking.value} close={() => (looking.value = null)} />}
    </div>
  );
}

const kindTitle = (kind: string) => (`kind.${kind}` in en ? t(`kind.${kind}` as Word) : kind);

/** Where a model comes from, as the service says it. */
function origin(said: string): string {
  if (said.startsWith("bundled")) return t("models.bundled");
  if (said.endsWith("Hub's cache")) return t("models.hub");
  return said.startsWith("from ") ? t("models.from", { place: said.slice(5) }) : said;
}

/** A model or adapter by its path, as far as the service serves what lies there. */
function ByPath() {
  const [path, write] = useState("");
  const [fault, tell] = useState("");
  const load = async (event: Event) => {
    event.preventDefault();
    try {
      const found = await api.found(path);
      await loadCatalogue();
      askAgain();
      tell("");
      looking.value = found;
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form class="row path" onSubmit={(event) => void load(event)}>
      <label for="path">{t("models.path")}</label>
      <div class="joined">
        <input id="path" type="text" required spellcheck={false} autocomplete="off" value={path} aria-invalid={fault !== ""} aria-describedby="path-help" placeholder="…/styles/ink.safetensors" onInput={(event) => { write(event.currentTarget.value); tell(""); }} />
        <button type="submit" class="button"><FolderOpen size={18} aria-hidden="true" />{t("models.load")}</button>
      </div>
      <p class={`help ${fault && "bad"}`} id="path-help" role={fault ? "alert" : undefined} dir="auto">{fault || t("models.path.help")}</p>
    </form>
  );
}

/** Files of a sort, each with the picture that lies beside it and the words that call it. */
function Files({ sort, names }: { sort: string; names: string[] }) {
  const known = useAdapters(sort);
  return (
    <ul class="files">
      {names.map((name) => {
        const about = known?.find((each) => each.name === name);
        return (
          <li key={name}>
            <button type="button" class="file" title={t("models.look")} onClick={() => (looking.value = { sort, name })}>
              <Thumb adapter={about ?? { name, bytes: 0, triggers: [], preview: null }} />
              <span class="about"><span>{name}</span>{about && <span class="help">{[bytes(about.bytes), ...(sort === "embeddings" ? [] : about.triggers.slice(0, 4))].join(" · ")}</span>}</span>
            </button>
          </li>
        );
      })}
    </ul>
  );
}

/** How each sort comes into the settings of Paint; of the others a picture is needed as well. */
const USES: Record<string, (name: string, before: Record<string, unknown>) => Record<string, unknown>> = {
  models: (model) => ({ model }),
  vaes: (vae) => ({ vae }),
  loras: (name, { loras = [] }) => ({ loras: [...(loras as Place[]).filter((each) => each.name !== name), { name, weight: 1 }] }),
  embeddings: (name, { embeddings = [] }) => ({ embeddings: [...(embeddings as string[]).filter((each) => each !== name), name] }),
};

function Use({ place: { sort, name } }: { place: Place }) {
  const { values } = paint.value;
  const uses = USES[sort];
  if (!uses) return null;
  const now = sort === "models" ? (values.model ?? "nano") === name : JSON.stringify({ ...values, ...uses(name, values) }) === JSON.stringify(values);
  if (now) return <p class="good"><Check size={16} aria-hidden="true" /> {t("models.inuse")}</p>;
  return (
    <Button icon={Paintbrush} onClick={() => { paint.value = { ...paint.value, values: { ...values, ...uses(name, values) } }; looking.value = null; go("paint"); say(t("restored")); }}>{t("models.use")}</Button>
  );
}

/** Sorts that `inspect` holds against a model. */
const HELD = new Set(["loras", "embeddings"]);

/** What `sfumato inspect` says of a file. */
function Look({ place: { sort, name }, close }: { place: Place; close: () => void }) {
  const about = useAdapters(sort)?.find((each) => each.name === name);
  const model: Model | undefined = sort === "models" ? models.value?.find((each) => each.name === name) : undefined;
  const [against, hold] = useState(HELD.has(sort) ? String(paint.value.values.model ?? "nano") : "");
  const [report, set] = useState<Report | null>(null);
  const [fault, tell] = useState("");
  useEffect(() => {
    let late = false;
    set(null);
    tell("");
    api.report(sort, name, against).then((found) => late || set(found), (error) => late || (tell(error instanceof Error ? error.message : ""), error instanceof Error || explain(error)));
    return () => void (late = true);
  }, [sort, name, against]);
  return (
    <Dialog title={name} close={close} wide>
      <div class="joined">
        <Thumb adapter={about} />
        <span class="about">
          <span>{sort === "models" ? t("models.model") : kindTitle(sort)}</span>
          {about && about.triggers.length > 0 && <span class="help">{t("adapters.triggers", { name })}: {about.triggers.join(", ")}</span>}
        </span>
      </div>
      {HELD.has(sort) && (
        <div class="row">
          <label for="against">{t("models.against")}</label>
          <select id="against" value={against} onChange={(event) => hold(event.currentTarget.value)}>
            <option value="">{t("grid.nothing")}</option>
            {(models.value ?? []).map((each) => <option key={each.name} value={each.name}>{each.name}</option>)}
          </select>
        </div>
      )}
      {fault ? <p class="bad verdict" role="alert"><CircleAlert size={16} aria-hidden="true" /><span dir="auto">{fault}</span></p> : !report ? <><p class="soft">{t("models.looking")}</p><Skeleton rows={4} /></> : <Facts report={report} licence={model?.licence ?? report.metadata["modelspec.license"] ?? ""} />}
      <div class="actions"><Use place={{ sort, name }} /></div>
    </Dialog>
  );
}

/** Facts of a report in the order in which they are asked for; those that are empty or 0 are left out. */
const FACTS: [string, Word][] = [
  ["family", "models.family"],
  ["kind", "report.kind"],
  ["format", "report.format"],
  ["container", "report.container"],
  ["prediction", "report.prediction"],
  ["precision", "report.precision"],
  ["tensors", "report.tensors"],
  ["parameters", "report.parameters"],
  ["kinds", "report.kinds"],
  ["ranks", "report.ranks"],
  ["strength", "report.strength"],
  ["matched", "report.matched"],
  ["unmatched", "report.unmatched"],
  ["missing", "report.missing"],
  ["unexpected", "report.unexpected"],
  ["misshapen", "report.misshapen"],
  ["non_finite", "report.non_finite"],
  ["ignored", "report.ignored"],
];

function Facts({ report, licence }: { report: Report; licence: string }) {
  const rows = FACTS.map(([fact, word]) => [t(word), plain(report[fact])] as const);
  return (
    <>
      <p class={`verdict ${report.good ? "good" : "bad"}`}>{report.good ? <Check size={16} aria-hidden="true" /> : <CircleAlert size={16} aria-hidden="true" />}<span dir="auto">{report.verdict}</span></p>
      <dl class="facts">
        {[...rows, [t("models.bytes"), bytes(report.size_bytes)] as const, [t("models.licence"), licence] as const].filter(([, said]) => said).map(([title, said]) => (
          <div class="pair" key={title}><dt>{title}</dt><dd>{said}</dd></div>
        ))}
        {report.sha256 && <div class="pair"><dt>SHA-256</dt><dd><code>{report.sha256}</code> <Button kind="quiet" class="small" icon={Copy} label={`${t("copy")}: SHA-256`} onClick={() => void copy(report.sha256)} /></dd></div>}
      </dl>
      <Lines title={t("report.names")} lines={Object.entries(report.names).flatMap(([sort, names]) => names.map((each) => `${sort.replace("_", " ")}: ${each}`))} />
      <Lines title={t("report.metadata")} lines={Object.entries(report.metadata).map(([key, text]) => `${key}: ${text.slice(0, 300)}`)} />
    </>
  );
}

function Lines({ title, lines }: { title: string; lines: string[] }) {
  if (lines.length === 0) return null;
  return (
    <details class="group" open={lines.length < 8}>
      <summary>{title}</summary>
      <ul class="lines">{lines.map((line) => <li key={line} dir="auto">{line}</li>)}</ul>
    </details>
  );
}

function plain(value: unknown): string {
  if (typeof value === "number") return value ? value.toLocaleString(language.value) : "";
  if (value && typeof value === "object") return Object.entries(value).map(([name, count]) => `${name}: ${(count as number).toLocaleString(language.value, { maximumSignificantDigits: 3 })}`).join(", ");
  return typeof value === "string" ? value : "";
}
