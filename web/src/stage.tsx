/** The stage: what is being painted, or a finished picture with what can be done with it, and the strip of the latest. */

import { signal } from "@preact/signals";
import { Copy, Dices, Download, Grid3x3, History, Pencil, Send, SlidersHorizontal, Sprout, X } from "lucide-preact";
import { useEffect, useRef } from "preact/hooks";
import { type Job, type PictureShown } from "./api";
import type { Values } from "./schema";
import { cancelOne, duration, editTasks, ended, go, lives, loaded, paint, pictures, restore, running, say, sendTo, shown, submit, tasks, waiting } from "./state";
import { clear, eager, sketch } from "./eager";
import { Button, shaped, Skeleton } from "./ui";
import { nameOf, t, taskTitle } from "./words";
import { SAMPLE } from "./writing";
import { valuesOf } from "./schema";


export const holding = signal(false);

export function current(): [Job, PictureShown] | undefined {
  const { value } = shown;
  if (value === null) return pictures.value[0];
  return pictures.value.find(([job, picture]) => job.id === value.job && picture.index === value.index) ?? pictures.value[0];
}

/** One picture further to the older (1) or the newer (-1). */
export function walk(by: number): void {
  const all = pictures.value;
  const now = current();
  const place = now ? all.findIndex(([job, picture]) => job.id === now[0].id && picture.index === now[1].index) : 0;
  const next = all[Math.min(all.length - 1, Math.max(0, place + by))];
  if (next) shown.value = { job: next[0].id, index: next[1].index };
}

export function Stage({ use, chips }: { use: (words: string) => void; chips: string[] }) {
  const live = running.value;
  const found = current();
  const watch = live && shown.value === null;
  const queued = !live && shown.value === null ? waiting.value[0] : undefined;
  const said = ended.value.find((job) => job.id === shown.value?.job && job.pictures.length === 0 && job.report?.report);
  return (
    <section class="stage" aria-label={t("stage")}>
      <div class="easel">
        {eager.value && sketch.value && shown.value === null && !live && !queued ? <Sketch url={sketch.value} /> : watch ? <Coming job={live} /> : queued ? <Coming job={queued} /> : said ? <Said job={said} /> : found ? <Finished job={found[0]} picture={found[1]} /> : !loaded.value ? <Skeleton rows={1} tall /> : (
          <div class="first">
            <img class="sample" src={SAMPLE} width="512" height="128" alt={t("paint.sample.alt")} />
            <h2>{t("paint.first")}</h2>
            <p>{t("paint.first.help")}</p>
            <p class="help">{t("paint.try")}</p>
            <div class="chips">
              {chips.map((words) => <button type="button" class="chip" key={words} onClick={() => use(words)}>{words}</button>)}
            </div>
          </div>
        )}
      </div>
      <Strip />
    </section>
  );
}

/** What was typed so far, quickly painted. */
function Sketch({ url }: { url: string }) {
  const frame = useRef<HTMLDivElement>(null);
  return (
    <div class="finished" ref={frame}>
      <img class="picture fit" src={url} alt={t("stage.sketch.alt")} onLoad={({ currentTarget: { naturalWidth: width, naturalHeight: height } }) => shaped({ width, height })(frame.current)} />
      <p class="soft">{t("stage.sketch")} <Button kind="quiet" icon={X} label={t("stage.sketch.close")} onClick={clear} /></p>
    </div>
  );
}

/** A picture that comes out of the haze: blurred as much as there is noise left. */
export function Coming({ job }: { job: Job }) {
  const live = lives.value[job.id];
  const image = useRef<HTMLImageElement>(null);
  const share = live && live.steps ? live.step / live.steps : 0;
  useEffect(() => {
    if (image.current) image.current.style.filter = `blur(${((1 - share) * 12).toFixed(1)}px)`;
  }, [share, live?.preview]);
  const width = Number(job.request.width ?? 1);
  const height = Number(job.request.height ?? 1);
  return (
    <div class="coming" ref={shaped({ width, height })}>
      <div class="canvas fit">
        {live?.preview ? <img ref={image} src={live.preview} alt="" /> : <div class="skeleton whole" />}
      </div>
      <div class="going">
        <Ring share={live?.share ?? 0} />
        <div>
          <strong>{!live ? (job.state === "queued" ? t("stage.waiting", { n: job.position ?? 1 }) : t("stage.loading")) : t("stage.step", { step: live.step, steps: live.steps })}</strong>
          <Left job={job} />
        </div>
        <Button icon={X} onClick={() => void cancelOne(job)} disabled={job.state === "cancelling"}>{t("cancel")}</Button>
      </div>
    </div>
  );
}

export function Left({ job }: { job: Job }) {
  const live = lives.value[job.id];
  const left = live ? live.secondsLeft : job.seconds_left;
  return <span class="soft">{left === null || left === undefined ? t("stage.unmeasured") : t("stage.left", { time: duration(left) })}</span>;
}

export function Ring({ share, size = 36 }: { share: number; size?: number }) {
  const around = 2 * Math.PI * 15;
  return (
    <svg class="ring" width={size} height={size} viewBox="0 0 36 36" aria-hidden="true">
      <circle cx="18" cy="18" r="15" />
      <circle cx="18" cy="18" r="15" class="done" stroke-dasharray={`${share * around} ${around}`} />
    </svg>
  );
}

function Finished({ job, picture }: { job: Job; picture: PictureShown }) {
  const all = pictures.value;
  const place = all.findIndex(([each, one]) => each.id === job.id && one.index === picture.index);
  const before = all[place + 1];
  const seen = holding.value && before ? before[1] : picture;
  const words = String(job.request.prompt ?? "");
  return (
    <div class="finished" ref={shaped(picture)}>
      <div class="above fit">
        <span>{taskTitle(job.task)}{job.pictures.length > 1 && ` · ${t("stage.of", { n: picture.index + 1, count: job.pictures.length })}`}</span>
        <span class="soft">{picture.width} × {picture.height}</span>
      </div>
      {tiled.value ? <Tiles picture={seen} /> : <img class="picture fit" src={seen.url} width={seen.width} height={seen.height} alt={t("picture.alt", { task: taskTitle(job.task), prompt: words || t("job.nowords") })} />}
      <Caption job={job} />
      <Actions job={job} picture={picture} before={before !== undefined} />
      <Said job={job} />
    </div>
  );
}

/** Whether pictures are shown laid in tiles. */
export const tiled = signal(false);

/** A picture three by three times, as a pattern is laid. */
export function Tiles({ picture }: { picture: { url: string; width: number; height: number } }) {
  return (
    <div class="picture tiled fit" role="img" aria-label={t("act.tiles")} ref={(place) => void (place && (place.style.backgroundImage = `url("${picture.url}")`))} />
  );
}

/** What the model read from the prompt, where that is something else. */
function Caption({ job }: { job: Job }) {
  const caption = job.report?.provenance?.caption;
  return caption ? <p class="caption"><span class="soft">{t("caption.read", { model: String(job.request.model ?? "") })}</span> <q>{caption}</q></p> : null;
}

/** What a task found out: its answer, its figures, and what else is to be known. */
export function Said({ job }: { job: Job }) {
  const found = job.report?.report;
  if (!found) return null;
  const names = Object.keys(found.rows[0] ?? {});
  const figures = new Set(names.filter((name) => found.rows.some((row) => typeof row[name] === "number")));
  const cell = (value: unknown) => (typeof value === "number" && !Number.isInteger(value) ? value.toLocaleString(undefined, { maximumSignificantDigits: 4 }) : String(value ?? ""));
  return (
    <div class="findings">
      <p class="answer" dir="auto">{found.answer}</p>
      {found.rows.length > 0 && (
        <table>
          <thead><tr>{names.map((name) => <th key={name} scope="col" class={figures.has(name) ? "figure" : ""}>{nameOf(name)}</th>)}</tr></thead>
          <tbody>{found.rows.slice(0, 60).map((row, i) => <tr key={i}>{names.map((name) => <td key={name} dir="auto" class={figures.has(name) ? "figure" : ""}>{cell(row[name])}</td>)}</tr>)}</tbody>
        </table>
      )}
      {found.remarks.map((remark) => <p key={remark} class="help" dir="auto">{remark}</p>)}
      <Button icon={Copy} onClick={() => void copy([found.answer, ...found.rows.map((row) => names.map((name) => cell(row[name])).join("\t")), ...found.remarks].join("\n"))}>{t("copy")}</Button>
    </div>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(t("copied"));
}

export function again(job: Job): void {
  const task = tasks.value.find((each) => each.name === job.task);
  if (!task) return;
  const { seed: _, subseed: __, ...rest } = valuesOf(task, job.request);
  void submit(task, rest);
}

function Actions({ job, picture, before }: { job: Job; picture: PictureShown; before: boolean }) {
  const request: Values = { ...job.request, seed: picture.seed, count: 1 };
  const hold = {
    onPointerDown: () => (holding.value = true),
    onPointerUp: () => (holding.value = false),
    onPointerLeave: () => (holding.value = false),
  };
  return (
    <div class="actions">
      <Button icon={Dices} label={t("act.again")} onClick={() => again(job)}>{t("act.more")}</Button>
      <Button icon={Pencil} onClick={() => void sendTo("img2img", picture.url, job.request)}>{t("act.edit")}</Button>
      <SendTo url={picture.url} request={job.request} />
      <a class="button" href={picture.url} download={`${job.id}-${picture.index}.png`}><Download size={18} aria-hidden="true" />{t("act.save")}</a>
      <Button icon={Sprout} label={t("act.seed")} onClick={() => restoreSeed(picture)} />
      <Button icon={SlidersHorizontal} label={t("act.settings")} onClick={() => restore(request, picture.seed)} />
      <Button icon={Copy} label={t("act.copy")} onClick={() => void copy(JSON.stringify(request, null, 2))} />
      <Button icon={Grid3x3} aria-pressed={tiled.value} label={t("act.tiles")} onClick={() => (tiled.value = !tiled.value)} />
      {before && <Button icon={History} label={t("act.before")} {...hold} />}
    </div>
  );
}

/** A menu of the tasks that begin from a picture. */
export function SendTo({ url, request }: { url: string; request?: Values }) {
  return (
    <label class="button select">
      <Send size={18} aria-hidden="true" />
      <span class="hidden">{t("act.send")}</span>
      <select value="" onChange={(event) => { const to = event.currentTarget.value; event.currentTarget.value = ""; if (to === "compare") vary(request); else if (to) void sendTo(to, url, request); }}>
        <option value="">{t("act.send")} …</option>
        {editTasks.value.map((task) => <option key={task.name} value={task.name}>{taskTitle(task.name)}</option>)}
        {request && <option value="compare">{t("act.grid")}</option>}
      </select>
    </label>
  );
}

/** A request's settings into their form, and to the screen that varies them. */
function vary(request?: Values): void {
  if (!request) return;
  restore(request, request.seed === undefined || request.seed === null ? undefined : String(request.seed));
  go("compare");
}

function restoreSeed(picture: PictureShown): void {
  paint.value = { ...paint.value, values: { ...paint.value.values, seed: picture.seed } };
  say(t("restored"));
}

const MANY = 40;
export function Strip({ choose = (job, index) => void (shown.value = { job: job.id, index }) }: { choose?: (job: Job, index: number) => void }) {
  const now = shown.value === null && (running.value || waiting.value.length) ? undefined : current();
  const all = pictures.value.slice(0, MANY);
  if (all.length === 0) return null;
  return (
    <div class="strip" role="group" aria-label={t("stage.strip")}>
      {all.map(([job, picture]) => {
        const on = now?.[0].id === job.id && now[1].index === picture.index;
        return (
          <button type="button" key={`${job.id}/${picture.index}`} aria-pressed={on} aria-label={t("picture.alt", { task: taskTitle(job.task), prompt: String(job.request.prompt ?? "") })} onClick={() => choose(job, picture.index)}>
            <img src={picture.url} alt="" loading="lazy" width="72" height="72" />
          </button>
        );
      })}
    </div>
  );
}
