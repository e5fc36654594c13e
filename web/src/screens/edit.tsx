import { signal } from "@preact/signals";
import { ArrowRight, Download, Grid3x3, ImagePlus, Pencil, PenLine, RotateCcw } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api";
import { NO_FRAME, type Edge, type Frame } from "../canvas";
import { offer } from "../dropped";
import { Easel } from "../easel";
import { begin, film, FRAME, MOST_FRAMES, reel } from "../film";
import { Form, Row, take } from "../form";
import * as mask from "../mask";
import { Player } from "../player";
import { Queue } from "../queue";
import type { Field, Task, Values } from "../schema";
import { Split } from "../split";
import { Sketch } from "../sketch";
import { Coming, Said, SendTo, Strip, tiled, Tiles } from "../stage";
import { edit, editTasks, explain, jobs, lastMine, pictures, say, sendTo, shown, sourceUrl, submit, taskOf, waiting, type Upload } from "../state";
import { Button, Dialog, Empty, shaped, Skeleton } from "../ui";
import { t } from "../words";
import { PaintButton, sheet, SheetButton, TaskMenu } from "./paint";

const asking = signal(false);
/** The job whose picture stands beside the one that it began from. */
const compared = signal<string | null>(null);

const EDGES: Edge[] = ["left", "right", "top", "bottom"];
const takesMask = (task: Task) => task.fields.some((field) => field.name === "mask" && field.kind === "picture");
const takesFrame = (task: Task) => EDGES.every((edge) => task.fields.some((field) => field.name === edge));
const firstPicture = (task: Task): Field | undefined => task.fields.find((field) => field.required && (field.kind === "picture" || field.kind === "pictures"));

function imageOf(task: Task, values: Values): unknown {
  const field = firstPicture(task);
  const value = field && (values[field.name] ?? values.image);
  return Array.isArray(value) ? value[0] : value;
}

export async function press(): Promise<void> {
  const task = taskOf(edit.value, editTasks.value);
  if (!task || asking.value) return;
  const values = { ...edit.value.values };
  const field = firstPicture(task);
  if (field && values[field.name] === undefined) {
    const image = imageOf(task, values);
    if (!image) {
      say(t("edit.none"), "bad");
      return;
    }
    values[field.name] = field.kind === "pictures" ? [image] : image;
  }
  asking.value = true;
  try {
    if (takesMask(task)) {
      delete values.mask;
      if (!mask.empty.value) values.mask = { sha256: await api.upload(await mask.file()) };
      else if (!values.where && !values.box) {
        say(t("edit.mask.none"), "bad");
        return;
      }
    }
    const image = imageOf(task, values) as Upload;
    if (task.name === FRAME && reel.value.frames > 1) begin(values, image, reel.value.frames);
    else if (await submit(task, values)) {
      film.value = null;
      compared.value = lastMine.value;
    }
  } catch (error) {
    explain(error);
  } finally {
    asking.value = false;
  }
}

/** One step back; whether there was one. */
export function back(): boolean {
  const was = compared.value !== null || film.value !== null;
  compared.value = null;
  film.value = null;
  return was;
}

const set = (values: Values) => (edit.value = { ...edit.value, values });

export function Edit() {
  const task = taskOf(edit.value, editTasks.value);
  const { values } = edit.value;
  const image = task && imageOf(task, values);
  const url = sourceUrl(image);
  const field = task && firstPicture(task);
  const prompt = task?.fields.find((each) => each.name === "prompt");
  const hidden = new Set(["mask", "box", "prompt", ...(field?.kind === "picture" ? [field.name] : [])]);
  const put = (next: Upload) => {
    compared.value = null;
    film.value = null;
    if (task && field) set({ ...values, [field.name]: field.kind === "pictures" ? [next] : next, image: next });
  };
  const receive = (file?: File) => {
    void take(file, put);
    void offer(file);
  };
  const form = task && (
    <>
      {task.name === FRAME && <Row field={FRAMES} values={reel.value.frames > 1 ? { frames: reel.value.frames } : {}} set={(value) => (reel.value = { ...reel.value, frames: Number(value ?? 1) })} />}
      <Form task={task} values={values} change={set} without={hidden} />
      {Object.keys(values).some((name) => !KEPT.has(name)) && <Button kind="quiet" icon={RotateCcw} onClick={() => set(Object.fromEntries(Object.entries(values).filter(([name]) => KEPT.has(name))))}>{t("paint.reset.all")}</Button>}
    </>
  );
  const job = compared.value ? jobs.value[compared.value] : undefined;
  const going = job && waiting.value.some((each) => each.id === job.id);
  const result = job?.pictures[0];
  const strength = task?.fields.find((each) => each.name === "strength");
  const blur = task?.fields.find((each) => each.name === "blur");
  return (
    <div class="screen three edit" onPaste={(event) => void take([...(event.clipboardData?.files ?? [])][0], put)}>
      <h1 class="hidden">{t("nav.edit")}</h1>
      <aside class="column settings" aria-label={t("paint.settings")}>
        <div class="scroll">
          {!task ? <Skeleton rows={6} /> : (
            <>
              <TaskMenu task={task} among={editTasks.value} choose={(name) => (edit.value = { task: name, values })} />
              {prompt && <Row field={prompt} values={values} set={(value) => set({ ...values, prompt: value })} />}
              <div class="wide-only">{form}</div>
            </>
          )}
        </div>
        <div class="bottom">
          <SheetButton />
          <PaintButton press={() => void press()} disabled={!task || !url || asking.value} />
        </div>
      </aside>
      <section class="stage" aria-label={t("stage")} onDragOver={(event) => { event.preventDefault(); event.stopPropagation(); }} onDrop={(event) => { event.preventDefault(); event.stopPropagation(); receive(event.dataTransfer?.files[0]); }}>
        {!task ? <div class="easel"><Skeleton rows={1} tall /></div>
          : !url ? <NoPicture put={put} />
          : film.value && task.name === FRAME ? <Player />
          : job && going ? <div class="easel"><Coming job={job} /></div>
          : job && result ? (
            <div class="easel">
              <div class="finished" ref={shaped(result)}>
                {tiled.value ? <Tiles picture={result} /> : <Split before={url} after={result.url} width={result.width} height={result.height} frame={frameOf(job.request)} />}
                <div class="actions">
                  <Button icon={ArrowRight} kind="main" onClick={() => { compared.value = null; void sendTo(null, result.url, job.request); }}>{t("edit.use")}</Button>
                  <Button icon={Pencil} onClick={() => (compared.value = null)}>{t("edit.back")}</Button>
                  <SendTo url={result.url} request={job.request} />
                  <Button icon={Grid3x3} aria-pressed={tiled.value} label={t("act.tiles")} onClick={() => (tiled.value = !tiled.value)} />
                  <a class="button" href={result.url} download={`${job.id}.png`}><Download size={18} aria-hidden="true" />{t("act.save")}</a>
                </div>
                <Said job={job} />
              </div>
            </div>
          ) : job?.report?.report ? (
            <div class="easel">
              <div class="finished">
                <img class="picture short" src={url} alt={t("edit.before.alt")} />
                <Said job={job} />
                <Button icon={Pencil} onClick={() => (compared.value = null)}>{t("edit.back")}</Button>
              </div>
            </div>
          ) : (
            <Easel url={url} masked={takesMask(task)} frame={takesFrame(task) ? frameOf(values) : null}
              setFrame={(frame) => set(withFrame(values, frame))}
              feather={Number(values.blur ?? blur?.default ?? 0)}
              strength={strength ? Number(values.strength ?? strength.default ?? 1) : null} />
          )}
        {url && (
          <div class="under">
            <FileButton put={put} />
            <Strip choose={(each, index) => { shown.value = { job: each.id, index }; const found = each.pictures.find((one) => one.index === index); if (found) { compared.value = null; void sendTo(null, found.url, each.request); } }} />
          </div>
        )}
      </section>
      <aside class="column side" aria-label={t("queue")}><Queue /></aside>
      {sheet.value && <Dialog title={t("paint.settings")} close={() => (sheet.value = false)}>{form}</Dialog>}
    </div>
  );
}

/** Beside the fields of a frame: how many of them, each from the one before. */
const FRAMES: Field = { name: "frames", kind: "slider", title: "Frames", help: "", required: false, nullable: false, default: 1, min: 1, max: MOST_FRAMES, step: 1 };

const KEPT = new Set(["prompt", "image", "mask"]);

/** The values with a frame; an edge that goes nowhere is left out, as it is by default. */
function withFrame(values: Values, frame: Frame): Values {
  const next = { ...values };
  for (const edge of EDGES) {
    if (frame[edge]) next[edge] = frame[edge];
    else delete next[edge];
  }
  return next;
}

function frameOf(values: Values): Frame {
  return Object.fromEntries(EDGES.map((edge) => [edge, Number(values[edge] ?? NO_FRAME[edge])])) as unknown as Frame;
}

function FileButton({ put }: { put: (upload: Upload) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input ref={input} type="file" accept="image/*" class="hidden" tabIndex={-1} aria-label={t("picture.choose")} onChange={(event) => void take(event.currentTarget.files?.[0], put)} />
      <Button icon={ImagePlus} label={t("picture.change")} onClick={() => input.current?.click()} />
    </>
  );
}

function NoPicture({ put }: { put: (upload: Upload) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const [drawing, setDrawing] = useState(false);
  const found = pictures.value.slice(0, 12);
  useEffect(() => () => setOver(false), []);
  return (
    <div class="easel" onDragOver={() => setOver(true)} onDragLeave={() => setOver(false)} onDrop={() => setOver(false)}>
      <div class={`start ${over ? "over" : ""}`}>
        <Empty title={t("edit.none")}>
          <p>{t("edit.none.help")}</p>
          <input ref={input} type="file" accept="image/*" class="hidden" tabIndex={-1} aria-label={t("picture.choose")} onChange={(event) => void take(event.currentTarget.files?.[0], put)} />
          <div class="actions">
            <Button kind="main" icon={ImagePlus} onClick={() => input.current?.click()}>{t("picture.choose")}</Button>
            <Button icon={PenLine} onClick={() => setDrawing(true)}>{t("sketch.go")}</Button>
          </div>
          {drawing && <Sketch width={512} height={512} use={(file) => void take(file, put)} close={() => setDrawing(false)} />}
        </Empty>
        {found.length > 0 && (
          <div class="choose">
            {found.map(([job, picture]) => (
              <button type="button" key={picture.url} aria-label={String(job.request.prompt ?? "") || t("job.nowords")} onClick={() => void sendTo(null, picture.url, job.request)}>
                <img src={picture.url} alt="" loading="lazy" />
              </button>
            ))}
          </div>
        )}
      </div>
    </div>
  );
}
