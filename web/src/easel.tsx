/** The picture that is edited: zoomed, panned, with a mask or a frame on it. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ArrowDownToLine, ArrowLeftToLine, ArrowRightToLine, ArrowUpToLine, BoxSelect, Brush, Contrast, Eraser, Hand, Maximize, Redo2, Trash2, Undo2, Waves, ZoomIn, ZoomOut } from "lucide-preact";
import { edgeAt, fitted, framed, History, radius, toPicture, zoomed, type Edge, type Frame, type Point, type View } from "./canvas";
import * as mask from "./mask";
import { Button, typing } from "./ui";
import { nameOf, t } from "./words";

export type Tool = "brush" | "eraser" | "box" | "move";
const tool = signal<Tool>("brush");
const noisy = signal(false);
const view = signal<View | null>(null);
/** Frames as they were, of one picture. */
let frames = new History<Frame>();
let framedUrl = "";

const TOOLS: [Tool, typeof Brush, string][] = [["brush", Brush, "b"], ["eraser", Eraser, "e"], ["box", BoxSelect, "m"], ["move", Hand, "v"]];
const EDGES: [Edge, typeof Brush][] = [["left", ArrowLeftToLine], ["top", ArrowUpToLine], ["bottom", ArrowDownToLine], ["right", ArrowRightToLine]];
const TINT = "#4d6bff";
const NEAR = 14;

interface EaselProps {
  url: string;
  masked: boolean;
  frame: Frame | null;
  setFrame: (frame: Frame) => void;
  feather: number;
  strength: number | null;
}

export function Easel({ url, masked, frame, setFrame, feather, strength }: EaselProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = useRef<HTMLImageElement | null>(null);
  const pointers = useRef(new Map<number, Point>());
  const doing = useRef<{ kind: "stroke" | "box" | "pan" | "edge" | "pinch"; last: Point; start: Point; edge?: Edge } | null>(null);
  const hover = useRef<Point | null>(null);
  const space = useRef(false);
  const asked = useRef(0);
  const shown = { masked, frame, feather, strength };
  const latest = useRef(shown);
  latest.current = shown;

  if (framedUrl !== url) {
    framedUrl = url;
    frames = new History();
  }
  const undo = () => {
    if (latest.current.masked) return mask.undo();
    const before = latest.current.frame && frames.undo(latest.current.frame);
    if (before) setFrame(before);
  };
  const redo = () => {
    if (latest.current.masked) return mask.redo();
    const next = latest.current.frame && frames.redo(latest.current.frame);
    if (next) setFrame(next);
  };
  const undoes = useRef(undo);
  const redoes = useRef(redo);
  undoes.current = undo;
  redoes.current = redo;

  const room = () => canvas.current!.getBoundingClientRect();
  const fit = () => {
    if (picture.current && canvas.current) view.value = fitted(room(), extent(picture.current), latest.current.frame ?? undefined);
  };
  const redraw = () => {
    cancelAnimationFrame(asked.current);
    asked.current = requestAnimationFrame(() => {
      if (canvas.current && picture.current && view.value) draw(canvas.current, picture.current, view.value, latest.current, doing.current?.kind === "box" ? [doing.current.start, doing.current.last] : null, hover.current);
    });
  };

  useEffect(() => {
    const image = new Image();
    image.onload = () => {
      picture.current = image;
      mask.prepare(url, extent(image));
      fit();
      redraw();
    };
    image.src = url;
    const watcher = new ResizeObserver(() => {
      const { width, height } = room();
      const ratio = devicePixelRatio || 1;
      canvas.current!.width = Math.round(width * ratio);
      canvas.current!.height = Math.round(height * ratio);
      fit();
      redraw();
    });
    watcher.observe(canvas.current!);
    return () => watcher.disconnect();
  }, [url]);
  useEffect(redraw);
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      if (typing(event)) return;
      const controlled = event.ctrlKey || event.metaKey;
      if (controlled && event.key.toLowerCase() === "z") {
        event.preventDefault();
        if (event.shiftKey) redoes.current();
        else undoes.current();
      } else if (controlled || event.altKey) return;
      else if (event.key === " " && !(event.target as HTMLElement).closest("button, a, summary")) {
        event.preventDefault();
        space.current = true;
      } else if (event.key === "[") mask.size.value = Math.max(2, Math.round(mask.size.value / 1.25));
      else if (event.key === "]") mask.size.value = Math.min(400, Math.round(mask.size.value * 1.25));
      else if (event.key === "x" && latest.current.masked) mask.invert();
      else if (event.key === "0") fit();
      else if (event.key === "1") zoom(1 / (view.value?.scale ?? 1));
      else {
        const found = TOOLS.find(([, , key]) => key === event.key.toLowerCase());
        if (!found) return;
        tool.value = found[0];
      }
      redraw();
    };
    const up = (event: KeyboardEvent) => event.key === " " && (space.current = false);
    addEventListener("keydown", down);
    addEventListener("keyup", up);
    return () => {
      removeEventListener("keydown", down);
      removeEventListener("keyup", up);
    };
  }, []);

  const zoom = (factor: number, at?: Point) => {
    const { width, height } = room();
    if (view.value) view.value = zoomed(view.value, factor, at ?? { x: width / 2, y: height / 2 });
    redraw();
  };
  const placeOf = (event: PointerEvent | WheelEvent): Point => {
    const { left, top } = room();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  const down = (event: PointerEvent) => {
    if (!view.value || !picture.current) return;
    canvas.current!.setPointerCapture(event.pointerId);
    const at = placeOf(event);
    pointers.current.set(event.pointerId, at);
    const inside = toPicture(view.value, at);
    if (pointers.current.size > 1) {
      doing.current = { kind: "pinch", last: at, start: at };
      return;
    }
    const edge = frame && edgeAt(extent(picture.current), frame, inside, NEAR / view.value.scale);
    if (edge) frames.keep(frame!);
    if (edge) doing.current = { kind: "edge", last: at, start: at, edge };
    else if (!masked || tool.value === "move" || space.current || event.button === 1) doing.current = { kind: "pan", last: at, start: at };
    else if (tool.value === "box") doing.current = { kind: "box", last: inside, start: inside };
    else {
      mask.begin();
      doing.current = { kind: "stroke", last: inside, start: inside };
      mask.line(inside, inside, radius(mask.size.value, event.pressure, event.pointerType), tool.value === "eraser");
    }
    redraw();
  };
  const move = (event: PointerEvent) => {
    if (!view.value || !picture.current) return;
    const at = placeOf(event);
    hover.current = toPicture(view.value, at);
    const before = pointers.current.get(event.pointerId);
    const now = doing.current;
    if (now?.kind === "pinch" && before) {
      const other = [...pointers.current.entries()].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const span = (a: Point) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
        view.value = zoomed(view.value, span(at) / span(before), { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
        view.value = { ...view.value, x: view.value.x + (at.x - before.x) / 2, y: view.value.y + (at.y - before.y) / 2 };
      }
    } else if (now?.kind === "pan") {
      view.value = { ...view.value, x: view.value.x + at.x - now.last.x, y: view.value.y + at.y - now.last.y };
      now.last = at;
    } else if (now?.kind === "edge" && frame) {
      setFrame(framed(extent(picture.current), frame, now.edge!, toPicture(view.value, at)));
    } else if (now?.kind === "box") {
      now.last = toPicture(view.value, at);
    } else if (now?.kind === "stroke") {
      for (const each of event.getCoalescedEvents?.() ?? [event]) {
        const to = toPicture(view.value, placeOf(each));
        mask.line(now.last, to, radius(mask.size.value, each.pressure, each.pointerType), tool.value === "eraser");
        now.last = to;
      }
    }
    if (before) pointers.current.set(event.pointerId, at);
    redraw();
  };
  const up = (event: PointerEvent) => {
    pointers.current.delete(event.pointerId);
    const now = doing.current;
    doing.current = null;
    if (now?.kind === "box") {
      mask.begin();
      mask.box(now.start, now.last);
    }
    if (now?.kind === "box" || now?.kind === "stroke") mask.end();
    redraw();
  };
  /** By keys: arrows move the pointer, Enter sets one corner of a box, then the other. */
  const key = (event: KeyboardEvent) => {
    if (!picture.current || !masked) return;
    const { width, height } = extent(picture.current);
    const step = event.shiftKey ? 1 : 16;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const at = hover.current ?? { x: width / 2, y: height / 2 };
    if (by) {
      event.preventDefault();
      event.stopPropagation();
      hover.current = { x: Math.min(width, Math.max(0, at.x + by[0]!)), y: Math.min(height, Math.max(0, at.y + by[1]!)) };
      if (doing.current?.kind === "box") doing.current.last = hover.current;
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (doing.current?.kind === "box") {
        mask.begin();
        mask.box(doing.current.start, at);
        doing.current = null;
        mask.end();
      } else doing.current = { kind: "box", start: at, last: at };
    } else return;
    redraw();
  };

  void mask.stroke.value;
  return (
    <div class="easel-frame">
      <div class="toolbar" role="toolbar" aria-label={t("edit.tools")}>
        {masked && (
          <>
            {TOOLS.map(([name, Sign, letter]) => <Button key={name} icon={Sign} aria-pressed={tool.value === name} label={`${t(`edit.${name}`)} (${letter.toUpperCase()})`} onClick={() => (tool.value = name)} />)}
            <input type="range" aria-label={t("edit.size")} title={t("edit.size")} min={2} max={200} value={mask.size.value} onInput={(event) => (mask.size.value = Number(event.currentTarget.value))} />
            <Button icon={Contrast} label={t("edit.invert")} onClick={mask.invert} />
            <Button icon={Trash2} label={t("edit.clear")} disabled={mask.empty.value} onClick={mask.clear} />
          </>
        )}
        {(masked || frame) && <Button icon={Undo2} label={t("edit.undo")} disabled={masked ? !mask.undoable() : !frames.undoable} onClick={undo} />}
        {(masked || frame) && <Button icon={Redo2} label={t("edit.redo")} disabled={masked ? !mask.redoable() : !frames.redoable} onClick={redo} />}
        {frame && EDGES.map(([edge, Sign]) => <Button key={edge} icon={Sign} label={t("edit.grow", { edge: nameOf(edge) })} onClick={() => { frames.keep(frame); setFrame({ ...frame, [edge]: Math.min(4096, frame[edge] + 64) }); requestAnimationFrame(() => { fit(); redraw(); }); }} />)}
        {strength !== null && <Button icon={Waves} aria-pressed={noisy.value} label={t("edit.preview")} onClick={() => (noisy.value = !noisy.value)} />}
        <span class="gap" />
        <Button icon={ZoomOut} label={t("edit.out")} onClick={() => zoom(0.8)} />
        <Button icon={Maximize} label={t("edit.fit")} onClick={() => { fit(); redraw(); }} />
        <Button icon={ZoomIn} label={t("edit.in")} onClick={() => zoom(1.25)} />
      </div>
      <canvas
        ref={canvas}
        class={`board ${masked ? tool.value : "move"}`}
        tabIndex={0}
        role="application"
        aria-label={frame ? t("edit.frame") : t("edit.canvas")}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={up}
        onPointerLeave={() => { hover.current = null; redraw(); }}
        onKeyDown={key}
        onWheel={(event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), placeOf(event)); }}
      />
      {frame && <p class="help hint">{t("edit.frame")}</p>}
    </div>
  );
}

function extent(image: HTMLImageElement) {
  return { width: image.naturalWidth, height: image.naturalHeight };
}

const veil = typeof document === "undefined" ? null : document.createElement("canvas");
let grain: HTMLCanvasElement | null = null;

/** Noise in the cells of latents, as a picture is begun from. */
function noise(): HTMLCanvasElement {
  if (grain) return grain;
  grain = document.createElement("canvas");
  grain.width = grain.height = 128;
  const context = grain.getContext("2d")!;
  const image = context.createImageData(128, 128);
  for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : Math.max(0, Math.min(255, 128 + 72 * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())));
  context.putImageData(image, 0, 0);
  return grain;
}

/** Noise on what lies between two corners. */
function strew(context: CanvasRenderingContext2D, left: number, top: number, right: number, bottom: number): void {
  for (let y = top; y < bottom; y += 1024) for (let x = left; x < right; x += 1024) context.drawImage(noise(), x, y, 1024, 1024);
}

type Look = Pick<EaselProps, "masked" | "frame" | "feather" | "strength">;

function draw(canvas: HTMLCanvasElement, picture: HTMLImageElement, { x, y, scale }: View, { masked, frame, feather, strength }: Look, box: [Point, Point] | null, hover: Point | null): void {
  const context = canvas.getContext("2d")!;
  const ratio = canvas.width / canvas.getBoundingClientRect().width || 1;
  const { width, height } = extent(picture);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  context.imageSmoothingEnabled = scale < 3;
  const one = 1 / scale;
  if (frame) {
    context.fillStyle = "#8080801f";
    context.fillRect(-frame.left, -frame.top, width + frame.left + frame.right, height + frame.top + frame.bottom);
  }
  context.drawImage(picture, 0, 0);
  const drawn = mask.drawn();
  if (noisy.value && strength !== null && frame) {
    context.save();
    context.beginPath();
    context.rect(-frame.left, -frame.top, width + frame.left + frame.right, height + frame.top + frame.bottom);
    context.rect(0, 0, width, height);
    context.clip("evenodd");
    context.globalAlpha = strength;
    context.imageSmoothingEnabled = false;
    strew(context, -frame.left, -frame.top, width + frame.right, height + frame.bottom);
    context.restore();
  } else if (noisy.value && strength !== null && veil) {
    veil.width = width;
    veil.height = height;
    const over = veil.getContext("2d")!;
    over.imageSmoothingEnabled = false;
    strew(over, 0, 0, width, height);
    if (masked && drawn && !mask.empty.value) {
      over.globalCompositeOperation = "destination-in";
      over.filter = feather ? `blur(${feather}px)` : "none";
      over.drawImage(drawn, 0, 0);
    }
    context.globalAlpha = strength;
    context.drawImage(veil, 0, 0);
    context.globalAlpha = 1;
  } else if (masked && drawn && veil) {
    veil.width = width;
    veil.height = height;
    const over = veil.getContext("2d")!;
    over.filter = feather ? `blur(${feather}px)` : "none";
    over.drawImage(drawn, 0, 0);
    over.filter = "none";
    over.globalCompositeOperation = "source-in";
    over.fillStyle = TINT;
    over.fillRect(0, 0, width, height);
    context.globalAlpha = 0.55;
    context.drawImage(veil, 0, 0);
    context.globalAlpha = 1;
  }
  context.lineWidth = 1.5 * one;
  if (box) {
    const [a, b] = box;
    context.strokeStyle = TINT;
    context.fillStyle = `${TINT}44`;
    context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
  }
  if (frame) {
    context.strokeStyle = TINT;
    context.setLineDash([6 * one, 4 * one]);
    const [left, top, wide, tall] = [-frame.left, -frame.top, width + frame.left + frame.right, height + frame.top + frame.bottom];
    context.strokeRect(left, top, wide, tall);
    context.setLineDash([]);
    context.fillStyle = TINT;
    for (const [hx, hy, w, h] of [[left, top + tall / 2, 6, 28], [left + wide, top + tall / 2, 6, 28], [left + wide / 2, top, 28, 6], [left + wide / 2, top + tall, 28, 6]] as const)
      context.fillRect(hx - (w * one) / 2, hy - (h * one) / 2, w * one, h * one);
    context.font = `${12 * one}px system-ui`;
    context.textAlign = "center";
    context.fillText(`${wide} × ${tall}`, left + wide / 2, top - 10 * one);
  }
  if (masked && hover && (tool.value === "brush" || tool.value === "eraser")) {
    context.beginPath();
    context.arc(hover.x, hover.y, mask.size.value / 2, 0, 2 * Math.PI);
    context.lineWidth = 3 * one;
    context.strokeStyle = "#ffffffb0";
    context.stroke();
    context.lineWidth = one;
    context.strokeStyle = "#000000c0";
    context.stroke();
  }
}
