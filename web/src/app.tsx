import { signal } from "@preact/signals";
import { Boxes, CircleHelp, Grid3x3, Ellipsis, Images, ListOrdered, Moon, Paintbrush, Pencil, Server, Settings2, Sun } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { api, ApiError, locked } from "./api";
import { dropped, Lost } from "./dropped";
import { marked } from "./gallery";
import { Keys } from "./keys";
import { Queue } from "./queue";
import { back, Edit, press as paintEdit } from "./screens/edit";
import { CompareScreen, begin as compareNow } from "./screens/compare";
import { Gallery } from "./screens/gallery";
import { Models } from "./screens/models";
import { go as paintNow, Paint } from "./screens/paint";
import { Settings } from "./screens/settings";
import { Status } from "./screens/status";
import { holding, walk, current } from "./stage";
import { cancelOne, connect, connected, edit, explain, go, heard, held, running, screen, sendTo, theme, waiting, type Screen } from "./state";
import { Button, Notices, typing, type Icon } from "./ui";
import { language, t } from "./words";

const helping = signal(false);

const PLACES: [Screen, Icon][] = [
  ["paint", Paintbrush],
  ["edit", Pencil],
  ["compare", Grid3x3],
  ["gallery", Images],
  ["queue", ListOrdered],
  ["models", Boxes],
  ["status", Server],
  ["settings", Settings2],
];
const WIDE: Screen[] = ["paint", "edit", "compare", "gallery", "models", "status", "settings"];
const NARROW: Screen[] = ["paint", "edit", "gallery", "queue"];
const OTHERS: Screen[] = ["compare", "models", "status", "settings"];

export function App() {
  useEffect(() => {
    connect();
    addEventListener("keydown", pressed);
    addEventListener("keyup", released);
    return () => {
      removeEventListener("keydown", pressed);
      removeEventListener("keyup", released);
    };
  }, []);
  useEffect(() => {
    document.documentElement.lang = language.value === "zh" ? "zh-Hans" : "en";
    document.documentElement.dataset.theme = theme.value;
  });
  useEffect(() => {
    document.title = screen.value === "paint" ? "sfumato" : `${t(`nav.${screen.value}`)} · sfumato`;
  });
  const [over, setOver] = useState(false);
  if (locked.value) return <Entrance />;
  return (
    <div class="app"
      onDragOver={(event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); setOver(true); } }}
      onDragLeave={(event) => event.relatedTarget === null && setOver(false)}
      onDropCapture={() => setOver(false)}
      onDrop={(event) => { event.preventDefault(); void dropped(...(event.dataTransfer?.files ?? [])); }}
    >
      {over && <p class="dropping">{t("drop.here")}</p>}
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); document.getElementById("content")?.focus(); }}>{t("skip")}</a>
      <header class="top">
        <a class="mark" href="#/paint">sfumato</a>
        <nav class="wide-nav" aria-label={t("nav")}>
          {PLACES.filter(([name]) => WIDE.includes(name)).map(([name, Sign]) => <Link key={name} name={name} Sign={Sign} />)}
        </nav>
        <div class="tools">
          {!connected.value && <span class="offline" role="status">{t("offline")}</span>}
          {waiting.value.length > 0 && <a class="badge" href="#/queue">{held.value ? t("queue.held") : t("queue.total", { n: waiting.value.length })}</a>}
          <Button kind="quiet" icon={dark() ? Sun : Moon} label={t("theme.switch")} onClick={() => (theme.value = dark() ? "light" : "dark")} />
          <Button kind="quiet" icon={CircleHelp} label={t("help")} onClick={() => (helping.value = true)} />
        </div>
      </header>
      <main id="content" tabIndex={-1}>{SHOWN[screen.value]()}</main>
      <nav class="narrow-nav" aria-label={t("nav")}>
        {PLACES.filter(([name]) => NARROW.includes(name)).map(([name, Sign]) => <Link key={name} name={name} Sign={Sign} />)}
        <Link name="more" Sign={Ellipsis} on={OTHERS.includes(screen.value)} />
      </nav>
      <p class="hidden" aria-live="polite">{heard.value}</p>
      <Notices />
      <Lost />
      {helping.value && <Keys close={() => (helping.value = false)} />}
    </div>
  );
}

function dark(): boolean {
  return theme.value === "dark" || (theme.value === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
}

function Link({ name, Sign, on = false }: { name: Screen; Sign: Icon; on?: boolean }) {
  return (
    <a href={`#/${name}`} aria-current={screen.value === name || on ? "page" : undefined}>
      <Sign size={20} aria-hidden="true" />
      <span>{t(`nav.${name}`)}</span>
    </a>
  );
}

const SHOWN: Record<Screen, () => preact.JSX.Element> = {
  paint: () => <Paint />,
  edit: () => <Edit />,
  compare: () => <CompareScreen />,
  gallery: () => <Gallery />,
  queue: () => <div class="screen page" tabIndex={0}><h1 class="hidden">{t("queue")}</h1><Queue lately={40} /></div>,
  models: () => <Models />,
  status: () => <Status />,
  settings: () => <Settings />,
  more: () => (
    <div class="screen page" tabIndex={0}>
      <h1>{t("nav.more")}</h1>
      <ul class="menu">
        {PLACES.filter(([name]) => OTHERS.includes(name)).map(([name, Sign]) => <li key={name}><Link name={name} Sign={Sign} /></li>)}
      </ul>
    </div>
  ),
};

const wrong = signal(false);
const focused = (place: HTMLElement | null) => place?.focus();

function Entrance() {
  const enter = async (event: Event) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get("token");
    try {
      await api.enter(String(token).trim());
      wrong.value = false;
      connect();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) wrong.value = true;
      else explain(error);
    }
  };
  return (
    <main class="entrance" id="content">
      <form class="card" onSubmit={(event) => void enter(event)}>
        <span class="mark">sfumato</span>
        <h1>{t("token.title")}</h1>
        <p class="soft">{t("token.help")}</p>
        <label for="token">{t("token.label")}</label>
        <input id="token" name="token" type="password" autocomplete="current-password" required ref={focused} aria-invalid={wrong.value} aria-describedby="token-wrong" />
        <p id="token-wrong" class="bad" role="alert">{wrong.value ? t("token.wrong") : ""}</p>
        <button type="submit" class="button main">{t("token.enter")}</button>
      </form>
      <Notices />
    </main>
  );
}

/** Keys that take the picture on the stage to a task. */
const SENDS: Record<string, string> = { e: "img2img", u: "upscale" };

function pressed(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.preventDefault();
    void (screen.value === "edit" ? paintEdit() : screen.value === "compare" ? compareNow() : paintNow());
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (screen.value === "gallery" && marked.value.size > 0) {
      marked.value = new Set();
      return;
    }
    const job = running.value ?? waiting.value[0];
    if (screen.value !== "paint" && screen.value !== "edit") go("paint");
    else if (typing(event)) (document.activeElement as HTMLElement | null)?.blur();
    else if (job) void cancelOne(job);
    else if (screen.value === "edit" && back()) return;
    else (document.activeElement as HTMLElement | null)?.blur();
    return;
  }
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "?") helping.value = true;
  else if (event.key === "q") go("queue");
  else if (event.key === "g") go("gallery");
  else if (event.key === "p") go("paint");
  else if (screen.value === "paint" && event.key === "ArrowRight") walk(1);
  else if (screen.value === "paint" && event.key === "ArrowLeft") walk(-1);
  else if (screen.value === "paint" && event.key === " " && !(event.target as HTMLElement).closest("button, a, summary")) {
    event.preventDefault();
    holding.value = true;
  } else if (screen.value === "paint" && event.key in SENDS) {
    const found = current();
    if (found) void sendTo(SENDS[event.key]!, found[1].url, found[0].request);
  } else if (screen.value === "edit" && event.key === "o" && edit.value.values.image) edit.value = { ...edit.value, task: "outpaint" };
}

function released(event: KeyboardEvent): void {
  if (event.key === " ") holding.value = false;
}
