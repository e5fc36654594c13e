import { signal } from "@preact/signals";
import { Archive, Columns2, Copy, LayoutPanelLeft, Download, ImagePlus, Images, Pencil, RotateCcw, Search, SlidersHorizontal, Star, Tag, Trash2, Waypoints, X } from "lucide-preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api } from "../api";
import { rowsInSight } from "../canvas";
import { Compare } from "../compare";
import { dropped } from "../dropped";
import { ALL, ask, asked, begin, change, changeMany, erase, facets, marked, more, move, open, opened, pieces, query, total, undo, type Piece, type Whole } from "../gallery";
import { Family } from "../family";
import { copy, SendTo } from "../stage";
import { explain, go, pictures, restore, sendTo, when } from "../state";
import { Button, Dialog, Empty, Skeleton, typing, type Icon } from "../ui";
import { nameOf, t, taskTitle } from "../words";

const descent = signal<string | null>(null);
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
      {descent.value && <Family id={descent.value} close={() => (descent.value = null)} />}
      {whole && !beside && !descent.value && <Dialog title={t("gallery.details")} close={() => (opened.value = null)}><Details whole={whole} /></Dialog>}
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
      <select aria-label={t("gallery.rating")} value={String(what.rating)} onChange={(event) => ask({ rating: Number(event.currentTarget.value) })}>
        <option value="0">{t("gallery.rating")}</option>
        {[1, 2, 3, 4, 5].map((stars) => <option key={stars} value={stars}>{"★".repeat(stars)}</option>)}
      </select>
      <select aria-label={t("gallery.sort")} value={what.sort} onChange={(event) => ask({ sort: event.currentTarget.value })}>
        {(["newest", "oldest", "rating"] as const).map((sort) => <option key={sort} value={sort}>{t(`gallery.sort.${sort}`)}</option>)}
      </select>
      <Bring />
      <Button icon={Trash2} aria-pressed={what.trash} label={t("gallery.trash")} onClick={() => ask({ trash: !what.trash })} />
      <a class="button bare" href={`/api/v1/gallery/export?${exported()}`} download="sfumato.zip" aria-label={t("gallery.export")} title={t("gallery.export")}><Archive size={18} aria-hidden="true" /></a>
      {changed && <Button kind="quiet" icon={RotateCcw} onClick={() => { set(""); ask(ALL); }}>{t("gallery.all")}</Button>}
      <span class="soft many">{t("gallery.total", { n: total.value.toLocaleString() })}</span>
      <Boards />
      {chosen.length > 0 && (
        <div class="chosen" role="group" aria-label={t("gallery.chosen", { n: chosen.length })}>
          <strong>{t("gallery.chosen", { n: chosen.length })}</strong>
          <Stars rating={0} rate={(rating) => void changeMany({ rating })} />
          <Label label={t("gallery.tag.add")} add={(name) => void changeMany({ add_tags: [name] })} />
          <Label icon={LayoutPanelLeft} label={t("gallery.board.add")} known={Object.keys(facets.value.board ?? {})} add={(name) => void changeMany({ add_boards: [name] })} />
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

/** Pictures are brought in by a dialog as well, since phones drop none. */
function Bring() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input ref={input} type="file" accept="image/*" multiple class="hidden" tabIndex={-1} aria-label={t("gallery.bring")} onChange={(event) => void dropped(...(event.currentTarget.files ?? [])).then(() => input.current && (input.current.value = ""))} />
      <Button icon={ImagePlus} label={t("gallery.bring")} onClick={() => input.current?.click()} />
    </>
  );
}

/** The boards as tabs; pictures are dropped on them, or put there by their details. */
function Boards() {
  const known = Object.entries(facets.value.board ?? {});
  const [over, setOver] = useState<string | null>(null);
  if (known.length === 0) return null;
  const now = asked.value.board;
  return (
    <div class="tabs boards" role="group" aria-label={t("gallery.board")}>
      <button type="button" aria-pressed={now === ""} onClick={() => ask({ board: "" })}>{t("gallery.board.all")}</button>
      {known.map(([name, count]) => (
        <button type="button" key={name} aria-pressed={now === name} class={over === name ? "over" : ""} onClick={() => ask({ board: now === name ? "" : name })}
          onDragOver={(event) => { if (event.dataTransfer?.types.includes(CARRIED)) { event.preventDefault(); setOver(name); } }}
          onDragLeave={() => setOver(null)}
          onDrop={(event) => { const ids = event.dataTransfer?.getData(CARRIED).split(" ").filter(Boolean) ?? []; setOver(null); if (ids.length) { event.preventDefault(); event.stopPropagation(); void changeMany({ add_boards: [name] }, ids); } }}
        >{name} <span class="soft">{count}</span></button>
      ))}
    </div>
  );
}
const CARRIED = "application/x-sfumato-pictures";

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
  /** Where a range of chosen pictures began. */
  const anchor = useRef<number | null>(null);
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
  const choose = (piece: Piece, at: number, event: MouseEvent) => {
    if (event.shiftKey) return extend(found, at);
    anchor.current = at;
    if (event.ctrlKey || event.metaKey) toggle(piece.id);
    else void open(piece.id);
  };
  const extend = (among: Piece[], to: number) => {
    const from = anchor.current ?? to;
    anchor.current = from;
    marked.value = new Set(among.slice(Math.min(from, to), Math.max(from, to) + 1).map((each) => each.id));
  };
  const arrow = (event: KeyboardEvent) => {
    const now = (event.target as HTMLElement).dataset.place;
    if (now !== undefined && event.key === " ") {
      event.preventDefault();
      anchor.current = Number(now);
      toggle(found[Number(now)]!.id);
      return;
    }
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (by === undefined || now === undefined) return;
    event.preventDefault();
    const to = Math.min(found.length - 1, Math.max(0, Number(now) + by));
    if (event.shiftKey) {
      anchor.current ??= Number(now);
      extend(found, to);
    } else anchor.current = null;
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
            <div class={`tile ${marked.value.has(piece.id) ? "marked" : ""}`} key={piece.id} draggable onDragStart={(event) => event.dataTransfer?.setData(CARRIED, (marked.value.has(piece.id) ? [...marked.value] : [piece.id]).join(" "))}>
              <button type="button" data-place={first * columns + i} data-id={piece.id} aria-pressed={opened.value?.id === piece.id} aria-label={t("picture.alt", { task: taskTitle(piece.task), prompt: piece.prompt || t("job.nowords") })} onClick={(event) => choose(piece, first * columns + i, event)}>
                <img src={piece.thumbnail} alt="" loading="lazy" decoding="async" draggable={false} />
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

function Label({ label, add, known = [], icon = Tag }: { label: string; add: (name: string) => void; known?: string[]; icon?: Icon }) {
  const id = useId();
  return (
    <form class="joined" onSubmit={(event) => {
      event.preventDefault();
      const input = event.currentTarget.elements.namedItem("name") as HTMLInputElement;
      if (input.value.trim()) add(input.value.trim());
      input.value = "";
    }}>
      <input name="name" type="text" maxLength={80} placeholder={label} aria-label={label} list={known.length ? id : undefined} />
      {known.length > 0 && <datalist id={id}>{known.map((each) => <option key={each} value={each} />)}</datalist>}
      <Button type="submit" icon={icon} label={label} />
    </form>
  );
}

/** Pictures that can be changed at once. */
const MOST = 1000;

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
        <Label icon={LayoutPanelLeft} label={t("gallery.board.add")} known={Object.keys(facets.value.board ?? {})} add={(board) => void change(whole.id, { boards: [...new Set([...whole.boards, board])] })} />
      </div>
      <Unrestored whole={whole} />
      <Kin title={t("gallery.parents")} kin={whole.parents} />
      <Kin title={t("gallery.children")} kin={whole.children} />
      {whole.parents.length + whole.children.length > 0 && <Button icon={Waypoints} onClick={() => (descent.value = whole.id)}>{t("lineage")}</Button>}
      <Alike key={whole.id} id={whole.id} />
      {request && (
        <details class="group">
          <summary><span>{t("gallery.request")}</span></summary>
          <dl class="facts">{facts.map(([name, value]) => <div class="pair" key={name}><dt>{nameOf(name)}</dt><dd>{name === "seed" ? whole.seed : String(value)}</dd></div>)}</dl>
        </details>
      )}
    </div>
  );
}

/** What of the settings of a picture made elsewhere could not be restored. */
function Unrestored({ whole }: { whole: Whole }) {
  const [lines, set] = useState<string[]>([]);
  useEffect(() => {
    set([]);
    if (whole.tool && !whole.exact) api.get<string[]>(`/api/v1/gallery/${whole.id}/unrestored`).then(set, () => undefined);
  }, [whole.id]);
  if (lines.length === 0) return null;
  return (
    <section class="unrestored">
      <h3>{t("drop.unrestored")}</h3>
      <ul class="plain help">{lines.map((line) => <li key={line} dir="auto">{line}</li>)}</ul>
    </section>
  );
}

/** Pictures that look like one, when they are asked for. */
function Alike({ id }: { id: string }) {
  const [found, set] = useState<Piece[] | null>(null);
  const look = () => api.get<{ difference: number; picture: Piece }[]>(`/api/v1/gallery/${id}/similar?limit=12`).then((near) => set(near.map((each) => each.picture)), explain);
  if (found === null) return <Button icon={Images} onClick={() => void look()}>{t("gallery.alike")}</Button>;
  return found.length ? <Kin title={t("gallery.alike")} kin={found} /> : <p class="soft">{t("gallery.nothing")}</p>;
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
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") {
    event.preventDefault();
    marked.value = new Set((pieces.value ?? []).slice(0, MOST).map((each) => each.id));
  } else if (event.ctrlKey || event.metaKey) return;
  else if (focused && /^[0-5]$/.test(event.key)) void change(focused, { rating: Number(event.key) });
  else if (event.key === "Delete") {
    const ids = marked.value.size ? [...marked.value] : focused ? [focused] : [];
    if (ids.length) void move(ids, asked.value.trash ? "restore" : "trash");
  }
}
