import { useEffect, useState } from "preact/hooks";
import { api, type Status as Facts } from "../api";
import { bytes, duration, ended, explain, jobs, when } from "../state";
import { Skeleton } from "../ui";
import { t } from "../words";
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
  const failures = ended.value.filter((job) => job.state === "failed");
  void jobs.value;
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
                <dt>{t("status.peak")}</dt><dd>{facts.worker.peak_bytes ? bytes(facts.worker.peak_bytes) : "–"}</dd>
                <dt>{t("status.crashes")}</dt><dd>{facts.worker.crashes}</dd>
              </dl>
            </section>
            <section class="card">
              <h2>{t("status.machine")}</h2>
              <dl>
                <dt>{t("status.cores")}</dt><dd>{facts.machine.cores}{facts.machine.load !== null && ` · ${t("status.load")} ${facts.machine.load.toFixed(1)}`}</dd>
                <dt>{t("status.memory")}</dt><dd>{t("status.free", { free: bytes(facts.machine.memory_free_bytes), all: bytes(facts.machine.memory_bytes) })}</dd>
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
          {failures.length === 0 ? <p class="soft">{t("status.failures.none")}</p> : (
            <ul class="plain failures">
              {failures.map((job) => <li key={job.id}><span class="soft">{when(job.finished ?? job.created)}</span> {job.reason}</li>)}
            </ul>
          )}
        </>
      )}
    </div>
  );
}
