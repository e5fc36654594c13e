import { signal } from "@preact/signals";
import { ArrowLeft, ArrowRight, Columns2, Download, Grid3x3, Play, RotateCcw, SlidersHorizontal, Square } from "lucide-preact";
import { useEffect } from "preact/hooks";
import { api, ApiError, type Job } from "../api";
import { Pair, type Seen } from "../compare";
import { draw } from "../form";
import { cellsOf, marksOf, MAX_CELLS, REPLACE, SIZE, varied, type Axis, type Place } from "../grid";
import { toJson, type Task, type Values } from "../schema";
import { Ring, SendTo } from "../stage";
import { edit, editTasks, explain, jobs, keep, lives, paint, paintTasks, restore, say, taskOf, varies } from "../state";
import { stored } from "../stored";
import { Button, Dialog, Empty } from "../ui";
import { nameOf, t, taskTitle } from "../words";

type From = "paint" | "edit";
const LETTERS = ["x", "y", "z"] as const;
const AXES: Axis[] = [{ field: "steps", text: "4, 8, 16" }, { field: "seed", text: "1-3" }, { field: "", text: "" }];
const chosen = stored<Axis[]>("axes", AXES);

interface Cell {
  place: Place;
  values: Values;
  job: string | null;
}
/** What was asked for: kept, so that whoever comes back finds it. */
interface Sheet {
  task: string;
  labels: [string[], string[], string[]];
  cells: Cell[];
}
const sheet = stored<Sheet | null>("sheet", null);
const asking = signal(false);
const opened = signal<number | null>(null);
const held = signal<number | null>(null);
const PATIENCE = 5000;

const draftOf = (from: From) => (from === "paint" ? paint.value : edit.value);
const tasksOf = (from: From) => (from === "paint" ? paintTasks.value : editTasks.value);

/** Ask for all cells that were not asked for yet; a full queue is waited for. */
async function ask(task: Task): Promise<void> {
  asking.value = true;
  try {
    for (let at = sheet.value!.cells.findIndex((cell) => cell.job === null); at >= 0 && asking.value; at = sheet.value?.cells.findIndex((cell) => cell.job === null) ?? -1) {
      try {
        const job = await api.submit(toJson(task, sheet.value!.cells[at]!.values));
        keep(job);
        sheet.value = { ...sheet.value!, cells: sheet.value!.cells.map((cell, i) => (i === at ? { ...cell, job: job.id } : cell)) };
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 429) throw error;
        await new Promise((done) => setTimeout(done, Math.min(PATIENCE, 1000 * (error.retryAfter ?? 5))));
      }
    }
  } catch (error) {
    explain(error);
  } finally {
    asking.value = false;
  }
}

/** Begin a grid with what is in the form. */
export function begin(): void {
  const [from, axes] = [varies.value, chosen.value];
  const task = taskOf(draftOf(from), tasksOf(from));
  if (!task || asking.value) return;
  try {
    const marks = [0, 1, 2].map((i) => marksOf(axes[i]?.text.trim() ? axes[i]! : null, task, nameOf)) as [ReturnType<typeof marksOf>, ReturnType<typeof marksOf>, ReturnType<typeof marksOf>];
    const many = marks.reduce((all, each) => all * each.length, 1);
    if (many > MAX_CELLS) return say(t("grid.many", { n: many, most: MAX_CELLS }), "bad");
    const fields = axes.filter((axis) => axis.field && axis.text.trim()).map((axis) => axis.field);
    if (fields.length === 0) return say(t("grid.none"), "bad");
    if (new Set(fields).size < fields.length) return say(t("grid.twice"), "bad");
    const values = { ...draftOf(from).values };
    if (from === "paint" && values.prompt === undefined) values.prompt = t("paint.sample");
    const labels = marks.map((each) => each.map((mark) => mark.label)) as Sheet["labels"];
    sheet.value = { task: task.name, labels, cells: cellsOf(values, marks, String(values.seed ?? draw())).map((cell) => ({ ...cell, job: null })) };
    opened.value = held.value = null;
    void ask(task);
  } catch (error) {
    say(t("grid.bad", { value: error instanceof Error ? error.message : String(error) }), "bad");
  }
}

export function CompareScreen() {
  const [from, axes] = [varies.value, chosen.value];
  const task = taskOf(draftOf(from), tasksOf(from));
  useEffect(() => {
    const missing = (sheet.value?.cells ?? []).flatMap((cell) => (cell.job && !jobs.value[cell.job] ? [cell.job] : []));
    for (const id of missing) api.job(id).then(keep, () => undefined);
  }, []);
  const set = (i: number, axis: Partial<Axis>) => (chosen.value = axes.map((each, at) => (at === i ? { ...each, ...axis } : each)));
  const label = (name: string) => (name === SIZE ? t("size") : name === REPLACE ? t("grid.words") : nameOf(name));
  return (
    <div class="screen two">
      <h1 class="hidden">{t("nav.compare")}</h1>
      <aside class="column settings" aria-label={t("grid")}>
        <div class="scroll">
          <div class="row">
            <span id="grid-from">{t("grid.from")}</span>
            <div class="tabs" role="group" aria-labelledby="grid-from">
              {(["paint", "edit"] as const).map((each) => <button type="button" key={each} aria-pressed={each === from} onClick={() => (varies.value = each)}>{t(`nav.${each}`)}</button>)}
            </div>
            <p class="help" dir="auto">{task && taskTitle(task.name)} · {String(draftOf(from).values.prompt ?? (from === "paint" ? t("paint.sample") : ""))}</p>
          </div>
          {task && LETTERS.map((letter, i) => {
            const axis = axes[i] ?? { field: "", text: "" };
            const field = task.fields.find((each) => each.name === axis.field);
            const lines = field?.kind === "prompt";
            return (
              <fieldset class="group axis" key={letter}>
                <legend>{t(`grid.${letter}`)}</legend>
                <select aria-label={t(`grid.${letter}`)} value={axis.field} onChange={(event) => set(i, { field: event.currentTarget.value, text: "" })}>
                  <option value="">{t("grid.nothing")}</option>
                  {varied(task).map((name) => <option key={name} value={name}>{label(name)}</option>)}
                </select>
                {axis.field && <textarea rows={lines ? 3 : 2} aria-label={`${t(`grid.${letter}`)}: ${label(axis.field)}`} value={axis.text} placeholder={field?.options ? field.options.slice(0, 3).join(", ") : lines ? t("grid.lines") : axis.field === SIZE ? "256x256, 384x256" : axis.field === REPLACE ? t("grid.words.help") : "4, 8, 12-20 (+4)"} onInput={(event) => set(i, { text: event.currentTarget.value })} />}
                {field?.options && (
                  <div class="triggers">
                    {field.options.slice(0, 24).map((option) => <Button key={option} class="tag" onClick={() => set(i, { text: axis.text.trim() ? `${axis.text.replace(/[\s,]+$/, "")}, ${option}` : option })}>{option}</Button>)}
                  </div>
                )}
              </fieldset>
            );
          })}
        </div>
        <div class="bottom">
          {asking.value
            ? <Button class="paint" icon={Square} onClick={() => (asking.value = false)}>{t("grid.stop")}</Button>
            : <Button kind="main" class="paint" icon={Grid3x3} disabled={!task} onClick={begin}>{t("grid.go")}</Button>}
        </div>
      </aside>
      <section class="stage" aria-label={t("grid")}>
        {sheet.value ? <Shown sheet={sheet.value} /> : (
          <div class="easel"><Empty title={t("grid.empty")}><p>{t("grid.empty.help")}</p><Button kind="main" icon={Grid3x3} disabled={!task} onClick={begin}>{t("grid.go")}</Button></Empty></div>
        )}
      </section>
      {opened.value !== null && sheet.value && <Large sheet={sheet.value} at={opened.value} />}
    </div>
  );
}

const jobOf = (cell: Cell): Job | undefined => (cell.job ? jobs.value[cell.job] : undefined);

function Shown({ sheet: shown }: { sheet: Sheet }) {
  const [xs, ys, zs] = shown.labels;
  const at = new Map(shown.cells.map((cell, i) => [cell.place.join(), i]));
  const done = shown.cells.filter((cell) => jobOf(cell)?.state === "done").length;
  const unasked = shown.cells.some((cell) => cell.job === null);
  const task = [...paintTasks.value, ...editTasks.value].find((each) => each.name === shown.task);
  return (
    <div class="sheet">
      <div class="toolbar">
        <span class="soft" role="status">{t("grid.done", { n: done, count: shown.cells.length })}</span>
        <span class="gap" />
        {unasked && !asking.value && task && <Button icon={Play} onClick={() => void ask(task)}>{t("grid.goon")}</Button>}
        <Button icon={Download} disabled={done === 0} onClick={() => void save(shown)}>{t("grid.save")}</Button>
        <Button kind="quiet" icon={RotateCcw} label={t("grid.clear")} onClick={() => { asking.value = false; sheet.value = null; }} />
      </div>
      <div class="cells" tabIndex={0} role="group" aria-label={t("grid")}>
        {zs.map((z, k) => (
          <table key={k}>
            {z && <caption dir="auto">{z}</caption>}
            {xs[0] && <thead><tr>{ys[0] && <td />}{xs.map((x) => <th key={x} scope="col" dir="auto">{x}</th>)}</tr></thead>}
            <tbody>
              {ys.map((y, j) => (
                <tr key={j}>
                  {y && <th scope="row" dir="auto">{y}</th>}
                  {xs.map((x, i) => {
                    const index = at.get([i, j, k].join())!;
                    return <td key={i}><Slot cell={shown.cells[index]!} label={[x, y, z].filter(Boolean).join(", ")} open={() => (opened.value = index)} /></td>;
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        ))}
      </div>
    </div>
  );
}

function Slot({ cell, label, open }: { cell: Cell; label: string; open: () => void }) {
  const job = jobOf(cell);
  const picture = job?.pictures[0];
  if (picture) return <button type="button" class="slot" aria-label={label} onClick={open}><img src={picture.url} alt="" loading="lazy" width={picture.width} height={picture.height} /></button>;
  const said = !job ? "" : job.state === "failed" ? `${t("job.failed")}: ${job.reason ?? ""}` : job.state === "running" ? "" : t(`job.${job.state}`);
  return <div class={`slot ${job ? job.state : "unasked"}`} title={said}>{job?.state === "running" ? <Ring share={lives.value[job.id]?.share ?? 0} /> : <span class={job?.state === "failed" ? "bad" : "soft"}>{said}</span>}</div>;
}

/** A cell, large; another that is held beside it. */
function Large({ sheet: shown, at }: { sheet: Sheet; at: number }) {
  const order = shown.cells.map((cell, i) => [cell, i] as const).filter(([cell]) => jobOf(cell)?.pictures[0]).sort(([a], [b]) => a.place[2] - b.place[2] || a.place[1] - b.place[1] || a.place[0] - b.place[0]).map(([, i]) => i);
  const cell = shown.cells[at]!;
  const job = jobOf(cell);
  const picture = job?.pictures[0];
  const name = cell.place.map((place, i) => shown.labels[i]![place]).filter(Boolean).join(" · ");
  const step = (by: number) => {
    const next = order[(order.indexOf(at) + by + order.length) % order.length];
    if (next !== undefined) opened.value = next;
  };
  const seen = (i: number): Seen | null => {
    const each = jobOf(shown.cells[i]!);
    return each?.pictures[0] ? { ...each.pictures[0], request: each.request } : null;
  };
  const other = held.value !== null && held.value !== at ? seen(held.value) : null;
  const self = seen(at);
  return (
    <Dialog title={name} close={() => (opened.value = null)} wide>
      {job && picture && self && (
        <div class="large" onKeyDown={(event) => { if (!(event.target as HTMLElement).closest("input, select")) { if (event.key === "ArrowRight") step(1); else if (event.key === "ArrowLeft") step(-1); } }}>
          {other ? <Pair a={other} b={self} /> : <img class="picture" src={picture.url} width={picture.width} height={picture.height} alt={name} />}
          <div class="actions">
            <Button icon={ArrowLeft} label={t("grid.before")} onClick={() => step(-1)} />
            <Button icon={ArrowRight} label={t("grid.after")} onClick={() => step(1)} />
            <Button icon={Columns2} aria-pressed={held.value === at} onClick={() => (held.value = held.value === at ? null : at)}>{t("grid.hold")}</Button>
            <Button icon={SlidersHorizontal} onClick={() => { opened.value = null; restore({ ...job.request, task: job.task }, picture.seed); }}>{t("act.settings")}</Button>
            <SendTo url={picture.url} request={job.request} />
          </div>
          {held.value === at && <p class="help">{t("grid.held")}</p>}
        </div>
      )}
    </Dialog>
  );
}

/** All cells with their labels as one PNG. */
async function save(shown: Sheet): Promise<void> {
  const [xs, ys, zs] = shown.labels;
  const images = new Map<string, HTMLImageElement>();
  await Promise.all(shown.cells.map(async (cell) => {
    const url = jobOf(cell)?.pictures[0]?.url;
    if (!url) return;
    const image = new Image();
    image.src = url;
    await image.decode();
    images.set(cell.place.join(), image);
  }));
  const sides = [...images.values()];
  const width = Math.max(...sides.map((each) => each.naturalWidth));
  const height = Math.max(...sides.map((each) => each.naturalHeight));
  const [gap, size] = [8, Math.max(12, Math.min(28, Math.round(width / 16)))];
  const [left, head, title] = [ys[0] ? Math.round(width * 0.6) : gap, xs[0] ? 2 * size + gap : gap, zs[0] ? 2 * size : 0];
  const block = title + head + ys.length * (height + gap);
  const canvas = document.createElement("canvas");
  canvas.width = left + xs.length * (width + gap);
  canvas.height = zs.length * block + gap;
  const pen = canvas.getContext("2d")!;
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#23201c";
  pen.textBaseline = "middle";
  pen.textAlign = "center";
  pen.font = `${size}px system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif`;
  zs.forEach((z, k) => {
    const top = k * block;
    if (z) pen.fillText(z, canvas.width / 2, top + size, canvas.width - 2 * gap);
    xs.forEach((x, i) => pen.fillText(x, left + i * (width + gap) + width / 2, top + title + head / 2, width));
    ys.forEach((y, j) => {
      const below = top + title + head + j * (height + gap);
      if (y) pen.fillText(y, left / 2, below + height / 2, left - 2 * gap);
      xs.forEach((_, i) => {
        const image = images.get([i, j, k].join());
        if (image) pen.drawImage(image, left + i * (width + gap), below);
      });
    });
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await new Promise<Blob>((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no sheet"))), "image/png")));
  link.download = "grid.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
