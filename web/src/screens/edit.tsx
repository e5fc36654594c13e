import { signal } from "@preact/signals";
import { Form } from "../form";
import { Queue } from "../queue";
import { Stage } from "../stage";
import { edit, editTasks, submit, taskOf } from "../state";
import { Skeleton } from "../ui";
import { t } from "../words";
import { PaintButton, TaskMenu } from "./paint";

const asking = signal(false);

export async function press(): Promise<void> {
  const task = taskOf(edit.value, editTasks.value);
  if (!task || asking.value) return;
  asking.value = true;
  await submit(task, edit.value.values);
  asking.value = false;
}

export function Edit() {
  const task = taskOf(edit.value, editTasks.value);
  const { values } = edit.value;
  return (
    <div class="screen three">
      <aside class="column settings" aria-label={t("paint.settings")}>
        <div class="scroll">
          {!task ? <Skeleton rows={6} /> : (
            <>
              <TaskMenu task={task} among={editTasks.value} choose={(name) => (edit.value = { task: name, values })} />
              <Form task={task} values={values} change={(next) => (edit.value = { ...edit.value, values: next })} />
            </>
          )}
        </div>
        <div class="bottom"><PaintButton press={() => void press()} disabled={!task} /></div>
      </aside>
      <Stage chips={[]} use={() => undefined} />
      <aside class="column side" aria-label={t("queue")}><Queue /></aside>
    </div>
  );
}
