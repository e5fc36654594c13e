/** A sheet to draw on: a sketch that guides, or a picture to begin from. */

import { Eraser, PaintBucket, Pencil, Pipette, Redo2, Trash2, Undo2 } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { hex, History, radius, type Point } from "./canvas";
import { Button, Dialog } from "./ui";
import { t } from "./words";

interface SketchProps {
  /** Pixels of the sheet. */
  width: number;
  height: number;
  /** A picture to trace, shown through the paper. */
  below?: string | null;
  use: (drawing: Blob) => void;
  close: () => void;
}

type Tool = keyof typeof TOOLS;
const TOOLS = { pencil: ["b", Pencil, "edit.brush"], eraser: ["e", Eraser, "edit.eraser"], pick: ["i", Pipette, "sketch.pick"] } as const;
const PAPERS = ["#ffffff", "#000000"] as const;
/** The first two are those that are seen on either paper. */
const INKS = ["#23201c", "#ffffff", "#c8442c", "#e8a33d", "#5c8a4a", "#3f5bd9", "#7a4a8c", "#f0c9a4"];

export function Sketch({ width, height, below, use, close }: SketchProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const history = useRef(new History<ImageData>());
  const traced = useRef<HTMLImageElement>(null);
  const last = useRef<Point | null>(null);
  const [ink, setInk] = useState<string>(INKS[0]!);
  const [size, setSize] = useState(Math.max(3, Math.round(Math.min(width, height) / 64)));
  const [tool, setTool] = useState<Tool>("pencil");
  const [paper, setPaper] = useState<string>(PAPERS[0]);
  const [, turn] = useState(0);
  const pen = () => canvas.current!.getContext("2d", { willReadFrequently: true })!;
  const whole = () => pen().getImageData(0, 0, width, height);
  const put = (image: ImageData | undefined) => {
    if (image) pen().putImageData(image, 0, 0);
    turn((n) => n + 1);
  };
  const at = (event: PointerEvent): Point => {
    const room = canvas.current!.getBoundingClientRect();
    return { x: ((event.clientX - room.left) * width) / room.width, y: ((event.clientY - room.top) * height) / room.height };
  };
  const line = (from: Point, to: Point, event: PointerEvent) => {
    const context = pen();
    context.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
    context.strokeStyle = ink;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * radius(size, event.pressure, event.pointerType);
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  };
  const turnPaper = () => {
    const other = paper === PAPERS[0] ? 1 : 0;
    setPaper(PAPERS[other]);
    if (ink === INKS[1 - other]) setInk(INKS[other]!);
  };
  const draw = (colour: string) => {
    setInk(colour);
    setTool("pencil");
  };
  /** The colour that is seen there: of the drawing, of the picture below it, of the paper. */
  const pick = ({ x, y }: Point) => {
    const eye = document.createElement("canvas");
    eye.width = eye.height = 1;
    const seen = eye.getContext("2d")!;
    seen.fillStyle = paper;
    seen.fillRect(0, 0, 1, 1);
    const layers = [traced.current, canvas.current!].filter((each) => each !== null);
    for (const layer of layers) seen.drawImage(layer, -Math.floor(x), -Math.floor(y), width, height);
    setInk(hex(seen.getImageData(0, 0, 1, 1).data));
  };
  useEffect(() => {
    const place = canvas.current!;
    place.style.aspectRatio = `${width} / ${height}`;
    place.style.background = paper;
    const keys = (event: KeyboardEvent) => {
      const found = Object.entries(TOOLS).find(([, [letter]]) => letter === event.key.toLowerCase());
      if (found && !event.ctrlKey && !event.metaKey && !event.altKey) setTool(found[0] as Tool);
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
      event.preventDefault();
      event.stopPropagation();
      put(event.shiftKey ? history.current.redo(whole()) : history.current.undo(whole()));
    };
    addEventListener("keydown", keys, true);
    return () => removeEventListener("keydown", keys, true);
  }, [paper]);
  const finish = () => {
    const out = document.createElement("canvas");
    out.width = width;
    out.height = height;
    const context = out.getContext("2d")!;
    context.fillStyle = paper;
    context.fillRect(0, 0, width, height);
    context.drawImage(canvas.current!, 0, 0);
    out.toBlob((blob) => blob && (use(blob), close()), "image/png");
  };
  return (
    <Dialog title={t("sketch")} close={close} wide>
      <div class="sketch">
        <div class="toolbar" role="toolbar" aria-label={t("edit.tools")}>
          {Object.entries(TOOLS).map(([name, [letter, Sign, word]]) => <Button key={name} icon={Sign} aria-pressed={tool === name} label={`${t(word)} (${letter.toUpperCase()})`} onClick={() => setTool(name as Tool)} />)}
          <input type="range" aria-label={t("edit.size")} min={1} max={Math.round(Math.min(width, height) / 5)} value={size} onInput={(event) => setSize(Number(event.currentTarget.value))} />
          <span class="inks" role="group" aria-label={t("sketch.ink")}>
            {INKS.map((each) => <button type="button" key={each} aria-label={each} aria-pressed={each === ink} ref={(place) => void (place && (place.style.background = each))} onClick={() => { draw(each); }} />)}
            <input type="color" aria-label={t("sketch.ink")} value={ink} onInput={(event) => { draw(event.currentTarget.value); }} />
          </span>
          <span class="gap" />
          <Button icon={PaintBucket} label={t("sketch.paper")} onClick={turnPaper} />
          <Button icon={Undo2} label={t("edit.undo")} disabled={!history.current.undoable} onClick={() => put(history.current.undo(whole()))} />
          <Button icon={Redo2} label={t("edit.redo")} disabled={!history.current.redoable} onClick={() => put(history.current.redo(whole()))} />
          <Button icon={Trash2} label={t("sketch.clear")} onClick={() => { history.current.keep(whole()); pen().clearRect(0, 0, width, height); turn((n) => n + 1); }} />
        </div>
        <div class="paper">
          <canvas ref={canvas} width={width} height={height} role="img" aria-label={t("sketch.help")}
            onPointerDown={(event) => { canvas.current!.setPointerCapture(event.pointerId); if (tool === "pick") return pick(at(event)); history.current.keep(whole()); last.current = at(event); line(last.current, last.current, event); }}
            onPointerMove={(event) => { if (tool === "pick" && event.buttons) pick(at(event)); if (!last.current) return; for (const each of event.getCoalescedEvents?.() ?? [event]) { const to = at(each); line(last.current, to, each); last.current = to; } }}
            onPointerUp={() => { if (tool === "pick") setTool("pencil"); last.current = null; turn((n) => n + 1); }}
            onPointerCancel={() => (last.current = null)} />
          {below && <img ref={traced} src={below} alt="" />}
        </div>
        <p class="help">{t("sketch.help")}</p>
        <div class="actions"><Button kind="main" disabled={!history.current.undoable} onClick={finish}>{t("sketch.use")}</Button></div>
      </div>
    </Dialog>
  );
}
