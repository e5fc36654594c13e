import { useEffect, useState } from "preact/hooks";
import { Copy, RotateCw, SlidersHorizontal } from "lucide-preact";
import { api, type Job, type Status as Facts } from "../api";
import { copy } from "../stage";
import { bytes, duration, ended, explain, keep, restore, when } from "../state";
import { Button, Skeleton } from "../ui";
import { t, taskTitle } from "../words";
import { en, type Word } from "../words/en";

const LOW = 2e9;

export function Status() {
  const [facts, set] = useState<Facts | null>(null);
  useEffect(() => {
    const ask = () => api.status().then(set, explain);
    void ask();
    const timer = setInterval(ask, 5000);
    return () => clearInterval(timer);
  }, []);
  const [failures, found] = useState<Job[] | null>(null);
  const latest = ended.value.find((job) => job.state === "failed")?.id;
  useEffect(() => void api.jobs("state=failed&limit=60").then(found, explain), [latest]);
  return (
    <div class="screen page" tabIndex={0}>
      <h1>{t("nav.status")}</h1>
      {!facts ? <Skeleton rows={3} tall /> : (
        <>
          {facts.machine.disk_free_bytes < LOW && <p class="warning">{t("status.disk.low")}</p>}
          <div class="cards">
            <section class="card">
              <h2>{t("status.service")}</h2>
              <dl>
                <dt>{t("status.version")}</dt><dd>{facts.version}</dd>
                <dt>{t("status.uptime")}</dt><dd>{duration(facts.uptime)}</dd>
              </dl>
            </section>
            <section class="card">
              <h2>{t("status.worker")}</h2>
              <p>{facts.worker.up ? t("status.worker.up") : t("status.worker.down")}</p>
              <dl>
                <dt>{t("status.peak")}</dt><dd>{facts.worker.peak_bytes ? <>{bytes(facts.worker.peak_bytes)}<Bar share={facts.worker.peak_bytes / facts.machine.memory_bytes} /></> : "–"}</dd>
                <dt>{t("status.crashes")}</dt><dd>{facts.worker.crashes}</dd>
              </dl>
            </section>
            <section class="card">
              <h2>{t("status.machine")}</h2>
              <dl>
                <dt>{t("status.cores")}</dt><dd>{facts.machine.cores}{facts.machine.load !== null && ` · ${t("status.load")} ${facts.machine.load.toFixed(1)}`}</dd>
                <dt>{t("status.memory")}</dt><dd>{t("status.free", { free: bytes(facts.machine.memory_free_bytes), all: bytes(facts.machine.memory_bytes) })}<Bar share={1 - facts.machine.memory_free_bytes / facts.machine.memory_bytes} /></dd>
                <dt>{t("status.disk")}</dt><dd>{t("status.disk.free", { free: bytes(facts.machine.disk_free_bytes) })}</dd>
              </dl>
            </section>
            <section class="card">
              <h2>{t("status.jobs")}</h2>
              <dl>
                {Object.entries(facts.jobs).map(([state, count]) => (
                  <div key={state} class="pair"><dt>{`job.${state}` in en ? t(`job.${state}` as Word) : state}</dt><dd>{count}</dd></div>
                ))}
              </dl>
            </section>
          </div>
          <h2>{t("status.failures")}</h2>
          {!failures ? <Skeleton rows={2} /> : failures.length === 0 ? <p class="soft">{t("status.failures.none")}</p> : (
            <ul class="failures">
              {failures.map((job) => (
                <li key={job.id} class="card">
                  <p><strong>{taskTitle(job.task)}</strong> <span class="soft">{when(job.finished ?? job.created)}{job.attempts > 1 && ` · ${t("job.attempt", { n: job.attempts })}`}</span></p>
                  {Boolean(job.request.prompt) && <p class="soft" dir="auto">{String(job.request.prompt)}</p>}
                  <p dir="auto">{job.reason}</p>
                  <div class="actions">
                    <Button icon={RotateCw} onClick={() => void api.retry(job.id).then((again) => { keep(again); found(failures.filter((each) => each.id !== job.id)); }, explain)}>{t("retry")}</Button>
                    <Button icon={SlidersHorizontal} onClick={() => restore({ ...job.request, task: job.task }, job.request.seed === null || job.request.seed === undefined ? undefined : String(job.request.seed))}>{t("act.settings")}</Button>
                    <Button icon={Copy} label={t("job.report")} onClick={() => void copy(`sfumato ${facts.version}, ${job.task}: ${job.reason ?? ""}`)} />
                  </div>
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </div>
  );
}

/** How much of something is taken. */
function Bar({ share }: { share: number }) {
  return <span class={`fill ${share > 0.9 ? "full" : ""}`} aria-hidden="true"><i ref={(place) => void (place && (place.style.width = `${Math.max(0, Math.min(100, 100 * share))}%`))} /></span>;
}
