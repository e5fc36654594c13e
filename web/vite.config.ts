import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const PAGE = "../src/sfumato/service/web";

/** The digest of all that the page is built from; tests/page/test_build.py computes the same. */
function sources(folder: string): string {
  const files = ["index.html", "package-lock.json", "vite.config.ts"];
  for (const top of ["public", "src"]) {
    for (const entry of readdirSync(join(folder, top), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files.push(join(entry.parentPath, entry.name).slice(folder.length + 1));
    }
  }
  const whole = createHash("sha256");
  for (const file of files.map((each) => each.replaceAll("\\", "/")).sort()) {
    whole.update(`${file}\0`).update(createHash("sha256").update(readFileSync(join(folder, file))).digest("hex"));
  }
  return whole.digest("hex");
}

const stamped: Plugin = {
  name: "sources",
  generateBundle() {
    this.emitFile({ type: "asset", fileName: "assets/sources.txt", source: `${sources(import.meta.dirname)}\n` });
  },
};

export default defineConfig({
  plugins: [stamped],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: PAGE,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      output: { entryFileNames: "assets/page.js", assetFileNames: "assets/page[extname]", codeSplitting: false },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:7860" } },
});
