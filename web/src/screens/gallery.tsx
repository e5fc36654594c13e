import { signal } from "@preact/signals";
import { Archive, Columns2, Copy, Download, Pencil, RotateCcw, Search, SlidersHorizontal, Star, Tag, Trash2, X } from "lucide-preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { rowsInSight } from "../canvas";
import { Compare } from "../compare";
import { ALL, ask, asked, begin, change, changeMany, erase, facets, marked, more, move, open, opened, pieces, query, total, undo, type Piece, type Whole } from "../gallery";
import { copy, SendTo } from "../stage";
import { go, pictures, restore, sendTo, when } from "../state";
import { Button, Dialog, Empty, Skeleton, typing } from "../ui";
import { nameOf, t, taskTitle } from "../words";

const comparing = signal<[string, string] | null>(null);
const narrow = () => matchMedia("(max-width: 1199px)").matches;

export function Gallery() {
  useEffect(() => {
    void begin();
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  const painted = pictures.value.length;
  useEffect(() => {
    // the gallery takes in what was painted a moment later; whoever has scrolled further is not thrown back
    const timers = [1500, 6000, 15_000, 30_000, 60_000].map((delay) => setTimeout(() => (pieces.value?.length ?? 0) <= 60 && void begin(), delay));
    return () => timers.forEach(clearTimeout);
  }, [painted]);
  const whole = opened.value;
  const beside = whole && !narrow();
  return (
    <div class={`screen gallery ${beside ? "beside" : ""}`}>
      <h1 class="hidden">{t("nav.gallery")}</h1>
      <div class="wall">
        <Bar />
        <Wall />
      </div>
      {beside && <aside class="column side" aria-label={t("gallery.details")}><Details whole={whole} /></aside>}
      {comparing.value && <Compare ids={comparing.value} close={() => (comparing.value = null)} />}
      {whole && !beside && <Dialog title={t("gallery.details")} close={() => (opened.value = null)}><Details whole={whole} /></Dialog>}
    </div>
  );
}

function Bar() {
  const what = asked.value;
  const [words, set] = useState(what.q);
  useEffect(() => {
    if (words === asked.value.q) return;
    const timer = setTimeout(() => ask({ q: words }), 250);
    return () => clearTimeout(timer);
  }, [words]);
  const pick = (name: "model" | "tag" | "board" | "task", label: string) => {
    const known = Object.entries(facets.value[name] ?? {});
    if (known.length === 0) return null;
    return (
      <select aria-label={label} value={what[name]} onChange={(event) => ask({ [name]: event.currentTarget.value })}>
        <option value="">{label}</option>
        {known.map(([value, count]) => <option key={value} value={value}>{name === "task" ? taskTitle(value) : value} ({count})</option>)}
      </select>
    );
  };
  const changed = JSON.stringify(what) !== JSON.stringify(ALL);
  const chosen = [...marked.value];
  return (
    <div class="bar">
      <label class="find">
        <Search size={18} aria-hidden="true" />
        <span class="hidden">{t("gallery.search")}</span>
        <input id="search" type="search" value={words} placeholder={t("gallery.search")} onInput={(event) => set(event.currentTarget.value)} />
      </label>
      {pick("task", t("paint.task"))}
      {pick("model", t("gallery.model"))}
      {pick("tag", t("gallery.tag"))}
      {pick("board", t("gallery.board"))}
      <select aria-label={t("gallery.rating")} value={String(what.rating)} onChange={(event) => ask({ rating: Number(event.currentTarget.value) })}>
        <option value="0">{t("gallery.rating")}</option>
        {[1, 2, 3, 4, 5].map((stars) => <option key={stars} value={stars}>{"★".repeat(stars)}</option>)}
      </select>
      <select aria-label={t("gallery.sort")} value={what.sort} onChange={(event) => ask({ sort: event.currentTarget.value })}>
        {(["newest", "oldest", "rating"] as const).map((sort) => <option key={sort} value={sort}>{t(`gallery.sort.${sort}`)}</option>)}
      </select>
      <Button icon={Trash2} aria-pressed={what.trash} label={t("gallery.trash")} onClick={() => ask({ trash: !what.trash })} />
      <a class="button bare" href={`/api/v1/gallery/export?${exported()}`} download="sfumato.zip" aria-label={t("gallery.export")} title={t("gallery.export")}><Archive size={18} aria-hidden="true" /></a>
      {changed && <Button kind="quiet" icon={RotateCcw} onClick={() => { set(""); ask(ALL); }}>{t("gallery.all")}</Button>}
      <span class="soft many">{t("gallery.total", { n: total.value.toLocaleString() })}</span>
      {chosen.length > 0 && (
        <div class="chosen" role="group" aria-label={t("gallery.chosen", { n: chosen.length })}>
          <strong>{t("gallery.chosen", { n: chosen.length })}</strong>
          <Stars rating={0} rate={(rating) => void changeMany({ rating })} />
          <Label label={t("gallery.tag.add")} add={(name) => void changeMany({ add_tags: [name] })} />
          <Button icon={Columns2} disabled={chosen.length !== 2} label={t("compare.help")} onClick={() => (comparing.value = [chosen[0]!, chosen[1]!])}>{t("compare")}</Button>
          {what.trash ? (
            <>
              <Button icon={RotateCcw} onClick={() => void move(chosen, "restore")}>{t("gallery.restore")}</Button>
              <Button icon={X} onClick={() => confirm(t("gallery.erase.sure", { n: chosen.length })) && void erase(chosen)}>{t("gallery.erase")}</Button>
            </>
          ) : <Button icon={Trash2} onClick={() => void move(chosen, "trash")}>{t("gallery.totrash")}</Button>}
          <Button kind="quiet" icon={X} label={t("close")} onClick={() => (marked.value = new Set())} />
        </div>
      )}
    </div>
  );
}

function exported(): string {
  const found = new URLSearchParams(query(asked.value, null));
  for (const name of ["limit", "sort", "count"]) found.delete(name);
  for (const id of marked.value) found.append("id", id);
  return found.toString();
}

const TILE = 176;
const GAP = 8;

function Wall() {
  const place = useRef<HTMLDivElement>(null);
  const sheet = useRef<HTMLDivElement>(null);
  const [{ width, height, top }, see] = useState({ width: 0, height: 0, top: 0 });
  const found = pieces.value;
  useLayoutEffect(() => {
    if (!place.current) return;
    const look = () => place.current && see({ width: place.current.clientWidth, height: place.current.clientHeight, top: place.current.scrollTop });
    const watcher = new ResizeObserver(look);
    watcher.observe(place.current);
    place.current.addEventListener("scroll", look, { passive: true });
    look();
    return () => watcher.disconnect();
  }, [found === null, found?.length === 0]);
  if (found === null) return <div class="tiles-room"><Skeleton rows={3} tall /></div>;
  if (found.length === 0) {
    const searching = JSON.stringify({ ...asked.value, sort: ALL.sort }) !== JSON.stringify(ALL);
    return (
      <div class="easel">
        <Empty title={t(searching ? "gallery.nothing" : "gallery.empty")}>
          <p>{t(searching ? "gallery.nothing.help" : "gallery.empty.help")}</p>
          {searching ? <Button onClick={() => ask(ALL)}>{t("gallery.all")}</Button> : <Button kind="main" onClick={() => go("paint")}>{t("paint.go")}</Button>}
        </Empty>
      </div>
    );
  }
  const columns = Math.max(2, Math.floor((width - 24) / (TILE + GAP)));
  const side = Math.max(80, Math.floor((width - 32 - GAP * (columns - 1)) / columns));
  const row = side + GAP;
  const rows = Math.ceil(found.length / columns);
  const [first, last] = rowsInSight(top, height, row, rows);
  if (width && last >= rows - 2) void more();
  const seen = found.slice(first * columns, last * columns);
  const choose = (piece: Piece, event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey) toggle(piece.id);
    else if (event.shiftKey && opened.value) {
      const a = found.findIndex((each) => each.id === opened.value!.id);
      const b = found.findIndex((each) => each.id === piece.id);
      marked.value = new Set(found.slice(Math.min(a, b), Math.max(a, b) + 1).map((each) => each.id));
    } else void open(piece.id);
  };
  const arrow = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const now = (event.target as HTMLElement).dataset.place;
    if (by === undefined || now === undefined) return;
    event.preventDefault();
    const to = Math.min(found.length - 1, Math.max(0, Number(now) + by));
    const at = Math.floor(to / columns) * row;
    const room = place.current!;
    if (at < room.scrollTop) room.scrollTop = at;
    else if (at + row > room.scrollTop + room.clientHeight) room.scrollTop = at + row - room.clientHeight;
    requestAnimationFrame(() => requestAnimationFrame(() => sheet.current?.querySelector<HTMLElement>(`[data-place="${to}"]`)?.focus()));
  };
  return (
    <div class="tiles-room" ref={place}>
      <div class="tiles" ref={(each) => {
        sheet.current = each;
        if (!each) return;
        each.style.setProperty("--columns", String(columns));
        each.style.height = `${rows * row}px`;
        each.style.setProperty("--above", `${first * row}px`);
        each.style.setProperty("--side", `${side}px`);
      }} onKeyDown={arrow}>
        <div class="seen">
          {seen.map((piece, i) => (
            <div class={`tile ${marked.value.has(piece.id) ? "marked" : ""}`} key={piece.id}>
              <button type="button" data-place={first * columns + i} data-id={piece.id} aria-pressed={opened.value?.id === piece.id} aria-label={t("picture.alt", { task: taskTitle(piece.task), prompt: piece.prompt || t("job.nowords") })} onClick={(event) => choose(piece, event)}>
                <img src={piece.thumbnail} alt="" loading="lazy" decoding="async" />
                {piece.rating > 0 && <span class="rated" aria-hidden="true">{"★".repeat(piece.rating)}</span>}
              </button>
              <input type="checkbox" aria-label={t("gallery.mark")} checked={marked.value.has(piece.id)} onChange={() => toggle(piece.id)} />
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

function toggle(id: string): void {
  const next = new Set(marked.value);
  if (!next.delete(id)) next.add(id);
  marked.value = next;
}

export function Stars({ rating, rate }: { rating: number; rate: (rating: number) => void }) {
  return (
    <span class="stars" role="group" aria-label={t("gallery.stars")}>
      {[1, 2, 3, 4, 5].map((each) => (
        <button type="button" key={each} class={each <= rating ? "on" : ""} aria-pressed={each <= rating} aria-label={t("gallery.stars.n", { n: each })} onClick={() => rate(each === rating ? 0 : each)}>
          <Star size={18} aria-hidden="true" />
        </button>
      ))}
    </span>
  );
}

function Label({ label, add }: { label: string; add: (name: string) => void }) {
  return (
    <form class="joined" onSubmit={(event) => {
      event.preventDefault();
      const input = event.currentTarget.elements.namedItem("name") as HTMLInputElement;
      if (input.value.trim()) add(input.value.trim());
      input.value = "";
    }}>
      <input name="name" type="text" maxLength={80} placeholder={label} aria-label={label} />
      <Button type="submit" icon={Tag} label={label} />
    </form>
  );
}

const LONG = new Set(["prompt", "negative", "task"]);

function Details({ whole }: { whole: Whole }) {
  const request = whole.request;
  const facts = Object.entries(request ?? {}).filter(([name, value]) => !LONG.has(name) && value !== null && value !== "" && typeof value !== "object");
  const usual = new Set(["model", "seed", "steps", "sampler", "schedule", "guidance", "width", "height", "strength"]);
  return (
    <div class="details">
      <div class="title">
        <Stars rating={whole.rating} rate={(rating) => void change(whole.id, { rating })} />
        <Button kind="quiet" class="wide-only-flex" icon={X} label={t("close")} onClick={() => (opened.value = null)} />
      </div>
      <a href={whole.url} target="_blank" rel="noopener"><img src={whole.url} width={whole.width} height={whole.height} alt={whole.prompt || t("job.nowords")} /></a>
      <p class="said" dir="auto">{whole.prompt || t("job.nowords")}</p>
      {whole.negative && <p class="soft" dir="auto">− {whole.negative}</p>}
      <div class="actions">
        {request && <Button icon={SlidersHorizontal} onClick={() => restore({ ...request, task: whole.task || request.task }, whole.seed ?? undefined)}>{t("act.settings")}</Button>}
        <Button icon={Pencil} onClick={() => void sendTo(null, whole.url, request ?? undefined)}>{t("act.edit")}</Button>
        <SendTo url={whole.url} request={request ?? undefined} />
        <a class="button" href={whole.url} download><Download size={18} aria-hidden="true" />{t("act.save")}</a>
        {request && <Button icon={Copy} label={t("act.copy")} onClick={() => void copy(JSON.stringify(request, null, 2))} />}
        {whole.trashed ? <Button icon={RotateCcw} onClick={() => void move([whole.id], "restore")}>{t("gallery.restore")}</Button> : <Button icon={Trash2} label={t("gallery.totrash")} onClick={() => void move([whole.id], "trash")} />}
      </div>
      <dl class="facts">
        <dt>{t("paint.task")}</dt><dd>{whole.task ? taskTitle(whole.task) : "–"}</dd>
        <dt>{t("size")}</dt><dd>{whole.width} × {whole.height}</dd>
        <dt>{t("gallery.created")}</dt><dd>{when(whole.created)}</dd>
        {whole.tool && whole.tool !== "sfumato" && <><dt>{t("gallery.tool")}</dt><dd>{whole.tool}</dd></>}
        {facts.filter(([name]) => usual.has(name) && name !== "width" && name !== "height").map(([name, value]) => <div class="pair" key={name}><dt>{nameOf(name)}</dt><dd>{name === "seed" ? whole.seed : String(value)}</dd></div>)}
      </dl>
      <div class="tags">
        {whole.tags.map((tag) => <Button key={tag} class="tag" icon={X} label={`${t("remove")}: ${tag}`} onClick={() => void change(whole.id, { tags: whole.tags.filter((each) => each !== tag) })}>{tag}</Button>)}
        <Label label={t("gallery.tag.add")} add={(tag) => void change(whole.id, { tags: [...new Set([...whole.tags, tag])] })} />
        {whole.boards.map((board) => <Button key={board} class="tag" icon={X} label={`${t("remove")}: ${board}`} onClick={() => void change(whole.id, { boards: whole.boards.filter((each) => each !== board) })}>{board}</Button>)}
        <Label label={t("gallery.board.add")} add={(board) => void change(whole.id, { boards: [...new Set([...whole.boards, board])] })} />
      </div>
      <Kin title={t("gallery.parents")} kin={whole.parents} />
      <Kin title={t("gallery.children")} kin={whole.children} />
      {request && (
        <details class="group">
          <summary><span>{t("gallery.request")}</span></summary>
          <dl class="facts">{facts.map(([name, value]) => <div class="pair" key={name}><dt>{nameOf(name)}</dt><dd>{name === "seed" ? whole.seed : String(value)}</dd></div>)}</dl>
        </details>
      )}
    </div>
  );
}

function Kin({ title, kin }: { title: string; kin: Piece[] }) {
  if (kin.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <div class="choose">
        {kin.map((each) => (
          <button type="button" key={each.id} aria-label={each.prompt || t("job.nowords")} onClick={() => void open(each.id)}><img src={each.thumbnail} alt="" /></button>
        ))}
      </div>
    </section>
  );
}

function pressed(event: KeyboardEvent): void {
  if (typing(event)) return;
  const focused = (document.activeElement as HTMLElement | null)?.dataset.id ?? opened.value?.id;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") undo();
  else if (focused && /^[0-5]$/.test(event.key)) void change(focused, { rating: Number(event.key) });
  else if (event.key === "Delete") {
    const ids = marked.value.size ? [...marked.value] : focused ? [focused] : [];
    if (ids.length) void move(ids, asked.value.trash ? "restore" : "trash");
  }
}
