/** Jobs that wait and what became of the latest. */

import { ArrowUpToLine, Copy, RotateCw, X } from "lucide-preact";
import { api, type Job } from "./api";
import { cancelOne, ended, explain, keep, lives, loaded, shown, waiting, when } from "./state";
import { copy, Left, Ring } from "./stage";
import { Button, Empty, Skeleton } from "./ui";
import { t, taskTitle } from "./words";

export function Queue({ lately = 8 }: { lately?: number }) {
  if (!loaded.value) return <Skeleton rows={3} tall />;
  const open = waiting.value;
  const first = async (job: Job) => {
    try {
      const most = Math.max(0, ...open.map((each) => each.priority));
      keep(await api.prefer(job.id, Math.min(100, most + 1)));
      keep(...(await api.jobs("state=queued&limit=200")));
    } catch (error) {
      explain(error);
    }
  };
  return (
    <div class="queue">
      <div class="title">
        <h2>{t("queue")}</h2>
        {open.length > 1 && <Button kind="quiet" onClick={() => open.forEach((job) => void cancelOne(job))}>{t("queue.cancelAll")}</Button>}
      </div>
      {open.length === 0 ? (
        <Empty title={t("queue.empty")}><p>{t("queue.empty.help")}</p></Empty>
      ) : (
        <ol class="jobs">
          {open.map((job, place) => (
            <li key={job.id}>
              <Ring share={lives.value[job.id]?.share ?? 0} size={28} />
              <button type="button" class="what" onClick={() => job.state !== "queued" && (shown.value = null)}>
                <span class="said" dir="auto">{words(job)}</span>
                <span class="soft">{job.state === "queued" ? t("stage.waiting", { n: job.position ?? place + 1 }) : t(`job.${job.state}`)} · <Left job={job} />{job.attempts > 1 && ` · ${t("job.attempt", { n: job.attempts })}`}</span>
              </button>
              {job.state === "queued" && (job.position ?? 1) > 1 && <Button kind="quiet" icon={ArrowUpToLine} label={t("queue.first")} onClick={() => void first(job)} />}
              <Button kind="quiet" icon={X} label={`${t("cancel")}: ${words(job)}`} disabled={job.state === "cancelling"} onClick={() => void cancelOne(job)} />
            </li>
          ))}
        </ol>
      )}
      {ended.value.length > 0 && <h3>{t("queue.lately")}</h3>}
      <ul class="jobs">
        {ended.value.slice(0, lately).map((job) => (
          <li key={job.id} class={job.state}>
            {job.pictures[0] ? <img class="thumb" src={job.pictures[0].url} alt="" loading="lazy" /> : <span class="thumb" aria-hidden="true" />}
            <button type="button" class="what" disabled={!job.pictures[0]} onClick={() => (shown.value = { job: job.id, index: 0 })}>
              <span class="said" dir="auto">{words(job)}</span>
              <span class={job.state === "failed" ? "bad" : "soft"}>{t(`job.${job.state}`)} · {when(job.finished ?? job.created)}</span>
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
