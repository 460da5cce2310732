import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

/** Where `npm run dev` sends what is not the console's own: the API, by its address. */
const api = process.env.DYNAMIQ_API ?? "http://localhost:8080";

export default defineConfig({
  base: "/console/",
  plugins: [preact({ devToolsEnabled: false, prefreshEnabled: true })],
  build: {
    outDir: "../dynamiq_operator/rest/static",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
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
