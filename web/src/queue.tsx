/** Jobs that wait and what became of the latest. */

import { ArrowUpToLine, Copy, GripVertical, Pause, Play, RotateCw, X } from "lucide-preact";
import { useState } from "preact/hooks";
import { api, type Job } from "./api";
import { cancelOne, duration, ended, explain, held, hold, keep, lives, loaded, reorder, shown, waiting, when } from "./state";
import { copy, Left, Ring } from "./stage";
import { Button, Empty, Skeleton } from "./ui";
import { t, taskTitle } from "./words";

export function Queue({ lately = 8 }: { lately?: number }) {
  const [dragged, drag] = useState<string | null>(null);
  if (!loaded.value) return <Skeleton rows={3} tall />;
  const open = waiting.value;
  const queued = open.filter((job) => job.state === "queued").map((job) => job.id);
  const put = (id: string, to: number) => {
    const rest = queued.filter((each) => each !== id);
    if (queued.includes(id)) void reorder([...rest.slice(0, to), id, ...rest.slice(to)]);
  };
  const last = Math.max(0, ...open.map((job) => (job.state === "paused" ? 0 : (lives.value[job.id]?.secondsLeft ?? job.seconds_left ?? 0))));
  return (
    <div class="queue">
      <div class="title">
        <h2>{t("queue")}</h2>
        <span class="gap" />
        {open.length > 1 && <Button kind="quiet" onClick={() => open.forEach((job) => void cancelOne(job))}>{t("queue.cancelAll")}</Button>}
        {(open.length > 0 || held.value) && <Button kind="quiet" icon={held.value ? Play : Pause} aria-pressed={held.value} label={t(held.value ? "queue.goon" : "queue.hold")} onClick={() => void hold(!held.value)} />}
      </div>
      {held.value && <p class="held">{t("queue.held.help")}</p>}
      {open.length === 0 ? (
        <Empty title={t("queue.empty")}><p>{t("queue.empty.help")}</p></Empty>
      ) : (
        <>
          {open.length > 1 && last > 0 && !held.value && <p class="help">{t("queue.all", { n: open.length, time: duration(last) })}</p>}
          <ol class="jobs">
            {open.map((job) => {
              const place = queued.indexOf(job.id);
              return (
                <li key={job.id} class={`${job.state} ${dragged === job.id ? "dragged" : ""}`} draggable={place >= 0 && queued.length > 1}
                  onDragStart={(event) => { drag(job.id); event.dataTransfer?.setData("text/plain", job.id); }} onDragEnd={() => drag(null)}
                  onDragOver={(event) => dragged && place >= 0 && event.preventDefault()}
                  onDrop={(event) => { if (dragged && place >= 0) { event.preventDefault(); event.stopPropagation(); put(dragged, place); drag(null); } }}
                >
                  {place >= 0 && queued.length > 1
                    ? <Button kind="quiet" class="grip" icon={GripVertical} label={t("queue.move", { words: words(job) })} onKeyDown={(event) => { const by = { ArrowUp: -1, ArrowDown: 1 }[event.key]; if (by !== undefined) { event.preventDefault(); event.stopPropagation(); put(job.id, Math.max(0, Math.min(queued.length - 1, place + by))); } }} />
                    : <Ring share={lives.value[job.id]?.share ?? 0} size={28} />}
                  <button type="button" class="what" onClick={() => job.state === "running" && (shown.value = null)}>
                    <span class="said" dir="auto">{words(job)}</span>
                    <span class="soft">{job.state === "queued" ? t("stage.waiting", { n: job.position ?? place + 1 }) : t(`job.${job.state}`)}{job.state !== "paused" && <> · <Left job={job} /></>}{job.attempts > 1 && ` · ${t("job.attempt", { n: job.attempts })}`}</span>
                  </button>
                  {place > 0 && <Button kind="quiet" icon={ArrowUpToLine} label={`${t("queue.first")}: ${words(job)}`} onClick={() => put(job.id, 0)} />}
                  {job.state === "queued" && <Button kind="quiet" icon={Pause} label={`${t("queue.pause")}: ${words(job)}`} onClick={() => void api.pause(job.id).then(keep, explain)} />}
                  {job.state === "paused" && <Button kind="quiet" icon={Play} label={`${t("queue.resume")}: ${words(job)}`} onClick={() => void api.resume(job.id).then(keep, explain)} />}
                  <Button kind="quiet" icon={X} label={`${t("cancel")}: ${words(job)}`} disabled={job.state === "cancelling"} onClick={() => void cancelOne(job)} />
                </li>
              );
            })}
          </ol>
        </>
      )}
      {ended.value.length > 0 && <h3>{t("queue.lately")}</h3>}
      <ul class="jobs">
        {ended.value.slice(0, lately).map((job) => (
          <li key={job.id} class={job.state}>
            {job.pictures[0] ? <img class="thumb" src={job.pictures[0].url} alt="" loading="lazy" /> : <span class="thumb" aria-hidden="true" />}
            <button type="button" class="what" disabled={!job.pictures[0] && !job.report?.report} onClick={() => (shown.value = { job: job.id, index: 0 })}>
              <span class="said" dir="auto">{words(job)}</span>
              <span class={job.state === "failed" ? "bad" : "soft"}>{t(`job.${job.state}`)} · {when(job.finished ?? job.created)}</span>
              {job.report?.report && <span class="reason" dir="auto">{job.report.report.answer}</span>}
              {job.reason && job.state === "failed" && <span class="reason">{job.reason}</span>}
            </button>
            {(job.state === "failed" || job.state === "cancelled") && <Button kind="quiet" icon={RotateCw} label={`${t("retry")}: ${words(job)}`} onClick={() => void api.retry(job.id).then(keep, explain)} />}
            {job.state === "failed" && <Button kind="quiet" icon={Copy} label={t("job.report")} onClick={() => void copy(`${job.task}: ${job.reason ?? ""}`)} />}
          </li>
        ))}
      </ul>
    </div>
  );
}

function words(job: Job): string {
  return String(job.request.prompt ?? "").trim() || `${taskTitle(job.task)}, ${t("job.nowords")}`;
}
