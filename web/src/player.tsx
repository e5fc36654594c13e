/** An animation on the stage: played while it grows, and saved. */

import { useEffect, useState } from "preact/hooks";
import { Download, Pause, Pencil, Play, X } from "lucide-preact";
import { film, finished, goes, movingUrl, reel, stop } from "./film";
import { Coming } from "./stage";
import { cancelOne, jobs } from "./state";
import { Button, shaped } from "./ui";
import { t } from "./words";

const FORMATS = ["webp", "gif", "png", "mp4"] as const;
const MOST_FPS = 30;

export function Player() {
  const frames = finished.value;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(!still);
  const [format, setFormat] = useState<string>(FORMATS[0]);
  const { fps } = reel.value;
  useEffect(() => {
    for (const each of frames) new Image().src = each.url; // so that none is waited for
  }, [frames.length]);
  useEffect(() => {
    if (!playing || frames.length < 2) return;
    const timer = setInterval(() => setAt((n) => (n + 1) % frames.length), 1000 / fps);
    return () => clearInterval(timer);
  }, [playing, frames.length, fps]);
  const now = film.value;
  if (!now) return null;
  const last = jobs.value[now.jobs.at(-1) ?? ""];
  const place = Math.min(at, frames.length - 1);
  const frame = frames[place];
  const done = now.jobs.filter((id) => jobs.value[id]?.pictures.length);
  return (
    <div class="easel">
      {!frame ? (last ? <Coming job={last} /> : null) : (
        <div class="finished player" ref={shaped(frame)}>
          <div class="above fit">
            <span>{t("film.frame", { n: place + 1, count: frames.length })}</span>
            <span class="soft" role="status">{goes.value ? t("film.going", { n: frames.length, count: now.frames }) : ""}</span>
          </div>
          <img class="picture fit" src={frame.url} width={frame.width} height={frame.height} alt={t("film.alt", { n: place + 1 })} />
          <div class="reel">
            <Button icon={playing ? Pause : Play} label={playing ? t("film.pause") : t("film.play")} disabled={frames.length < 2} onClick={() => setPlaying(!playing)} />
            <input type="range" aria-label={t("film.place")} min={1} max={Math.max(2, frames.length)} value={place + 1} disabled={frames.length < 2} onInput={(event) => { setPlaying(false); setAt(Math.min(frames.length, Number(event.currentTarget.value)) - 1); }} />
            <label class="fps">{t("film.fps")} <input type="number" min={1} max={MOST_FPS} value={fps} onInput={(event) => { const value = Number(event.currentTarget.value); if (value >= 1 && value <= MOST_FPS) reel.value = { ...reel.value, fps: value }; }} /></label>
          </div>
          <div class="actions">
            {frames.length > 1 && (
              <>
                <select aria-label={t("film.format")} value={format} onChange={(event) => setFormat(event.currentTarget.value)}>
                  {FORMATS.map((each) => <option key={each} value={each}>{each === "png" ? "APNG" : each.toUpperCase()}</option>)}
                </select>
                <a class="button main" href={movingUrl(done, fps, format)} download={`sfumato.${format}`}><Download size={18} aria-hidden="true" />{t("film.save")}</a>
              </>
            )}
            {goes.value && <Button icon={X} onClick={() => { stop(); if (last) void cancelOne(last); }}>{t("film.stop")}</Button>}
            {!goes.value && <Button icon={Pencil} onClick={() => (film.value = null)}>{t("edit.back")}</Button>}
          </div>
        </div>
      )}
    </div>
  );
}
