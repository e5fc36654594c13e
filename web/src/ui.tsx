/** Small parts that all screens share. */

import type { ComponentChildren, FunctionComponent, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { X, type LucideProps } from "lucide-preact";
import { notices, unsay } from "./state";
import { t } from "./words";

export type Icon = FunctionComponent<LucideProps>;

type ButtonProps = Omit<JSX.IntrinsicElements["button"], "icon"> & { icon?: Icon; label?: string; kind?: "plain" | "main" | "quiet" };

/** A button with an icon, words or both. Without words it is called by its label. */
export function Button({ icon: Sign, label, kind = "plain", children, class: more, ...rest }: ButtonProps) {
  const bare = children === undefined || children === null;
  return (
    <button type="button" class={`button ${kind} ${bare ? "bare" : ""} ${more ?? ""}`} aria-label={bare ? label : undefined} title={label} {...rest}>
      {Sign && <Sign size={18} aria-hidden="true" />}
      {children}
    </button>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Tells what it holds how wide a picture is for its height. */
export const shaped = ({ width, height }: { width: number; height: number }) => (place: HTMLElement | null) => place?.style.setProperty("--ratio", String(width / height));

/** Lines that stand for what is still to come. */
export function Skeleton({ rows = 3, tall = false }: { rows?: number; tall?: boolean }) {
  return (
    <div class="skeletons" role="status" aria-label={t("loading")}>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} class={`skeleton ${tall ? "tall" : ""}`} />
      ))}
    </div>
  );
}

/** A dialog above the page; Escape and a click beside it close it. On narrow screens it rises from below. */
export function Dialog({ title, close, children, wide = false }: { title: string; close: () => void; children: ComponentChildren; wide?: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    const room = dialog.current?.querySelector<HTMLElement>(".scroll");
    if (room && !room.querySelector("button, input, select, textarea, a")) room.tabIndex = 0; // so that keys scroll it
    return () => before?.focus?.();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "wide" : ""}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="dialog">
        <header>
          <h2>{title}</h2>
          <Button kind="quiet" icon={X} label={t("close")} onClick={close} />
        </header>
        <div class="scroll">{children}</div>
      </div>
    </dialog>
  );
}

export function Notices() {
  return (
    <div class="notices" role="log" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice ${notice.kind}`}>
          <p>{notice.text}</p>
          {notice.act && (
            <Button
              onClick={() => {
                notice.act!.run();
                unsay(notice.id);
              }}
            >
              {notice.act.label}
            </Button>
          )}
          <Button kind="quiet" icon={X} label={t("close")} onClick={() => unsay(notice.id)} />
        </div>
      ))}
    </div>
  );
}

/** Whether a key is meant for what is being typed in. */
export function typing(event: KeyboardEvent): boolean {
  const place = event.target as HTMLElement | null;
  return !!place?.closest("input, textarea, select, [contenteditable], dialog");
}
