/// <reference types="vitest/config" />
import preact from "@preact/preset-vite";
import { minify } from "@swc/core";
import { defineConfig, type Plugin } from "vite";

/** Where `npm run dev` sends what is not the console's own: the API, by its address. */
const api = process.env.DYNAMIQ_API ?? "http://localhost:8080";

/** Elements as calls of `h`, whose children are arguments: gzipped, the scripts are 1.2 kB smaller than with `jsx` and its property. */
const short: Plugin = {
  name: "short-elements",
  apply: "build",
  enforce: "pre",
  config: () => ({ oxc: { jsx: { runtime: "classic", pragma: "_h", pragmaFrag: "_F" } } }),
  transform: (code, id) =>
    id.endsWith(".tsx") ? { code: `import { h as _h, Fragment as _F } from "preact"; ${code}`, map: null } : undefined,
};

/** Loads a script with its styles, in the place of Vite's own helper for it, which knows more of browsers and is 0.4 kB larger. */
const loader: Plugin = {
  name: "small-loader",
  apply: "build",
  enforce: "pre",
  load: (id) => (id === "\0vite/preload-helper.js" ? LOADER : undefined),
};
const LOADER = `
const styles = {};
const read = (file) => styles[file] ??= document.querySelector('[href$="' + file + '"]') || new Promise((done, failed) => {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = "/console/" + file;
  link.onload = done;
  link.onerror = () => {
    link.remove();
    delete styles[file];
    failed();
  };
  document.head.append(link);
});
export const __vitePreload = async (load, files) => {
  const [module] = await Promise.all([load(), ...files.filter((each) => each.endsWith("css")).map(read)]);
  return module;
};
`;

/** What Vite's minifier leaves for swc, 1.2 kB gzipped; and 0.6 kB of names under which one script has what the other gives. */
const small: Plugin = {
  name: "small-scripts",
  apply: "build",
  renderChunk: (code) =>
    minify(withoutNamespace(code), {
      module: true,
      ecma: 2023,
      compress: { passes: 3, toplevel: true },
      mangle: { toplevel: true },
    }),
  generateBundle(_, bundle) {
    const chunks = Object.values(bundle).filter((each) => each.type === "chunk");
    for (const from of chunks) {
      const own = new Map<string, string>();
      from.code = from.code.replace(/export\{([^{}]*)\};?\s*$/, (_, given: string) => {
        for (const [name, alias] of pairsOf(given)) own.set(alias, name);
        return `export{${[...own.values()].sort()}};`;
      });
      const unused = new Set(own.keys());
      const nameOf = (alias: string) => {
        unused.delete(alias);
        return own.get(alias) ?? alias;
      };
      const file = RegExp.escape(from.fileName.slice(from.fileName.lastIndexOf("/")));
      for (const to of chunks) {
        to.code = to.code.replace(new RegExp(`import\\{([^{}]*)\\}from"\\.${file}"`), (whole, taken: string) => {
          const named = pairsOf(taken).map(([name, alias]) => `${nameOf(name)} as ${alias}`);
          return whole.replace(taken, named.join());
        });
        // What `later` loads is named as it is called there.
        if (!to.dynamicImports.includes(from.fileName)) continue;
        to.code = to.code.replace(/\.part\(`(\w+)`\)/g, (_, name: string) => `.part(\`${nameOf(name)}\`)`);
      }
      if (unused.size > 0) throw new Error(`nothing takes these of ${from.fileName}: ${[...unused]}`);
    }
  },
};

/** A script gives what another one loads of it by name, too: the object of all of it, which costs 0.4 kB, is taken by nobody. */
function withoutNamespace(code: string): string {
  return code.replace(/(import\("[^"]+"\))\.then\(\(n\) => n\.t\)/g, "$1").replace(/, \w+_exports as t\b/, "");
}

/** `a as b,c`: by what name, and under which. */
function pairsOf(names: string): [string, string][] {
  return names.split(",").map((each) => {
    const [name = "", alias = name] = each.split(" as ");
    return [name, alias];
  });
}

export default defineConfig({
  base: "/console/",
  plugins: [preact({ devToolsEnabled: false, prefreshEnabled: true }), short, loader, small],
  build: {
    outDir: "../dynamiq_operator/rest/static",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    rolldownOptions: {
      optimization: { inlineConst: { mode: "all" } },
    },
  },
  test: {
    // A DOM for those that show screens: the first line of a file says so.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    environmentOptions: { happyDOM: { url: "https://console.example.org/console/" } },
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: {
      "/v1": { target: api, secure: false },
      "/console/session": { target: api, secure: false },
      "/console/oidc": { target: api, secure: false },
    },
  },
});
