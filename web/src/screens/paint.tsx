import { signal } from "@preact/signals";
import { BookOpen, Paintbrush, RotateCcw, SlidersHorizontal, Zap } from "lucide-preact";
import { Form, Row } from "../form";
import { joined } from "../form";
import { Picker } from "../picker";
import { Queue } from "../queue";
import { Stage } from "../stage";
import { Ring } from "../stage";
import type { Values } from "../schema";
import { explain, lives, paint, paintTasks, running, submit, taskOf } from "../state";
import { canSketch, clear, eager } from "../eager";
import { StyleButton, writtenOut } from "../writing";
import { Button, Dialog, Skeleton } from "../ui";
import { t, taskHelp, taskTitle } from "../words";
import type { Task } from "../schema";

const picking = signal(false);
export const sheet = signal(false);
const asking = signal(false);

export async function go(): Promise<void> {
  const task = taskOf(paint.value, paintTasks.value);
  if (!task || asking.value) return;
  asking.value = true;
  clear();
  const values = paint.value.values.prompt === undefined && !Object.keys(paint.value.values).includes("prompt") ? { ...paint.value.values, prompt: t("paint.sample") } : paint.value.values;
  try {
    for (const each of await requests(values)) if (!(await submit(task, each))) break;
  } catch (error) {
    explain(error);
  } finally {
    asking.value = false;
  }
}

/** What is asked for: one request, or of a template one a picture, each with its own draw. */
async function requests(values: Values): Promise<Values[]> {
  const seed = values.seed === undefined ? undefined : String(values.seed);
  const written = await writtenOut(String(values.prompt ?? ""), String(values.negative ?? ""), Number(values.count ?? 1), seed);
  if (!written) return [values];
  return written.map(({ pictures, ...words }, i) => ({ ...values, ...words, count: pictures, ...(seed === undefined ? {} : { seed: String(BigInt(seed) + BigInt(i)) }) }));
}

const set = (values: Values) => (paint.value = { ...paint.value, values });

export function TaskMenu({ task, among, choose }: { task: Task; among: Task[]; choose: (name: string) => void }) {
  return (
    <div class="row task">
      <label for="task">{t("paint.task")}</label>
      <select id="task" value={task.name} onChange={(event) => choose(event.currentTarget.value)}>
        {among.map((each) => <option key={each.name} value={each.name}>{taskTitle(each.name)}</option>)}
      </select>
      <p class="help">{taskHelp(task.name, task.help)}</p>
    </div>
  );
}

export function PaintButton({ press, disabled = false }: { press: () => void; disabled?: boolean }) {
  const live = running.value && lives.value[running.value.id];
  return (
    <Button kind="main" class="paint" onClick={press} disabled={disabled || asking.value} title="Ctrl+Enter">
      {live ? <Ring share={live.share} size={22} /> : <Paintbrush size={18} aria-hidden="true" />}
      {t("paint.go")}
    </Button>
  );
}

export function SheetButton() {
  return <Button class="narrow-only" icon={SlidersHorizontal} label={t("paint.settings")} onClick={() => (sheet.value = true)} />;
}

export function Paint() {
  const task = taskOf(paint.value, paintTasks.value);
  const { values } = paint.value;
  const model = String(values.model ?? "nano");
  const prompt = task?.fields.find((field) => field.name === "prompt");
  const usual = Object.keys(values).some((name) => name !== "prompt");
  const reset = () => set(values.prompt === undefined ? {} : { prompt: values.prompt });
  const shown: Values = "prompt" in values ? values : { ...values, prompt: t("paint.sample") };
  const form = task && (
    <>
      {paintTasks.value.length > 1 && <TaskMenu task={task} among={paintTasks.value} choose={(name) => (paint.value = { task: name, values })} />}
      <Form task={task} values={shown} change={(next) => set({ ...next, prompt: next.prompt ?? "" })} without={PROMPT} />
      {usual && <Button kind="quiet" icon={RotateCcw} onClick={reset}>{t("paint.reset.all")}</Button>}
    </>
  );
  return (
    <div class="screen three">
      <h1 class="hidden">{t("nav.paint")}</h1>
      <aside class="column settings" aria-label={t("paint.settings")}>
        <div class="scroll">
          {!task || !prompt ? <Skeleton rows={6} /> : (
            <>
              <div class="words">
                <Row field={prompt} values={shown} set={(value) => set({ ...values, prompt: value ?? "" })} />
                <div class="pens">
                  <StyleButton write={(words) => set({ ...values, prompt: joined(shown.prompt, words) })} />
                  {canSketch(paint.value) && (
                    <Button kind="quiet" icon={Zap} aria-pressed={eager.value} title={t("paint.eager.help")} onClick={() => { eager.value = !eager.value; clear(); }}>{t("paint.eager")}</Button>
                  )}
                  {model === "nano" && <Button kind="quiet" icon={BookOpen} onClick={() => (picking.value = true)}>{t("picker", { model })}</Button>}
                </div>
              </div>
              <div class="wide-only">{form}</div>
            </>
          )}
        </div>
        <div class="bottom">
          <SheetButton />
          <PaintButton press={() => void go()} disabled={!task} />
        </div>
      </aside>
      <Stage chips={[t("paint.chip1"), t("paint.chip2"), t("paint.chip3"), t("paint.chip4")]} use={(words) => { set({ ...values, prompt: words }); void go().catch(explain); }} />
      <aside class="column side" aria-label={t("queue")}><Queue /></aside>
      {picking.value && <Picker model={model} use={(words) => set({ ...values, prompt: words })} close={() => (picking.value = false)} />}
      {sheet.value && <Dialog title={t("paint.settings")} close={() => (sheet.value = false)}>{form}</Dialog>}
    </div>
  );
}

const PROMPT = new Set(["prompt"]);
